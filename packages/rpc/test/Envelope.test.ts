import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeEnvelope, encodeEnvelope, encodeHeaders, type Envelope, isTrace } from "../src/Envelope.ts"

const hex = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString("hex"))
const text = fc.string({ unit: "grapheme", maxLength: 20 })

const envelopes: fc.Arbitrary<Required<Envelope>> = fc.record({
  timeout: fc.option(fc.integer({ min: 0, max: 0xFFFF_FFFF }), { nil: undefined }),
  discard: fc.boolean(),
  trace: fc.option(fc.record({ traceId: hex(16), spanId: hex(8), sampled: fc.boolean() }), { nil: undefined }),
  headers: fc.array(fc.tuple(text, text), { maxLength: 5 })
})

const encode = ({ headers = [], ...rest }: Envelope): Uint8Array =>
  encodeEnvelope(rest, headers.length === 0 ? undefined : encodeHeaders(headers))

describe("Envelope", () => {
  it("any envelope and payload come out as they went in", () => {
    fc.assert(fc.property(envelopes, fc.uint8Array(), (envelope, payload) => {
      const decoded = Result.getOrThrow(decodeEnvelope(Uint8Array.from([...encode(envelope), ...payload])))
      expect(decoded.envelope).toEqual(envelope)
      expect([...decoded.payload]).toEqual([...payload])
    }))
  })

  it("an envelope cut anywhere is none", () => {
    fc.assert(fc.property(envelopes, (envelope) => {
      const bytes = encode(envelope)
      for (let end = 0; end < bytes.length; end++) expect(Result.isFailure(decodeEnvelope(bytes.subarray(0, end)))).toBe(true)
    }))
  })

  it("any bytes give an envelope or a reason", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 15 }), fc.uint8Array(), (fields, bytes) => {
      decodeEnvelope(bytes)
      decodeEnvelope(Uint8Array.from([fields, ...bytes]))
    }))
  })

  it("tells how many bytes the headers take", () => {
    const headers = encodeHeaders([["a", "bc"]]) ?? new Uint8Array(0)
    expect([...headers]).toEqual([1, 0, 1, 0, 97, 2, 0, 98, 99])
    const opened = Result.getOrThrow(decodeEnvelope(encodeEnvelope({ timeout: 5, discard: true }, headers)))
    expect(opened.headersLength).toBe(9)
  })

  it("headers beyond the wire's own lengths are none", () => {
    expect(encodeHeaders([["a", "b".repeat(65_536)]])).toBeUndefined()
    expect(encodeHeaders(Array.from({ length: 65_536 }, () => ["a", "b"] as const))).toBeUndefined()
  })

  it("a field of a later version is refused", () => {
    expect(Result.getOrThrow(Result.flip(decodeEnvelope(Uint8Array.from([0x80]))))).toContain("unknown fields 128")
  })

  it("a time is rounded up, and one beyond the field is the longest there is", () => {
    expect([...encodeEnvelope({ timeout: 0.25 })]).toEqual([1, 1, 0, 0, 0])
    expect([...encodeEnvelope({ timeout: 1e12 })]).toEqual([1, 255, 255, 255, 255])
  })

  it("ids that are not of W3C's kind do not travel", () => {
    expect(isTrace({ traceId: "a".repeat(32), spanId: "0".repeat(16), sampled: true })).toBe(true)
    expect(isTrace({ traceId: "A".repeat(32), spanId: "0".repeat(16), sampled: true })).toBe(false)
    expect(isTrace({ traceId: "a".repeat(32), spanId: "span", sampled: true })).toBe(false)
  })
})
