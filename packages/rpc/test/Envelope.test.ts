import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeEnvelope, encodeEnvelope } from "../src/Envelope.ts"

const timeout = fc.option(fc.integer({ min: 0, max: 0xFFFF_FFFF }), { nil: undefined })
const envelope = fc.record({ timeout })

describe("Envelope", () => {
  it("any envelope and payload come out as they went in", () => {
    fc.assert(fc.property(envelope, fc.uint8Array(), (envelope, payload) => {
      const decoded = Result.getOrThrow(decodeEnvelope(Uint8Array.from([...encodeEnvelope(envelope), ...payload])))
      expect(decoded.envelope).toEqual(envelope)
      expect([...decoded.payload]).toEqual([...payload])
    }))
  })

  it("an envelope cut anywhere is none", () => {
    fc.assert(fc.property(envelope, (envelope) => {
      const bytes = encodeEnvelope(envelope)
      for (let end = 0; end < bytes.length; end++) expect(Result.isFailure(decodeEnvelope(bytes.subarray(0, end)))).toBe(true)
    }))
  })

  it("any bytes give an envelope or a reason", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => {
      decodeEnvelope(bytes)
    }))
  })

  it("a field of a later version is refused", () => {
    expect(Result.getOrThrow(Result.flip(decodeEnvelope(Uint8Array.from([0x80]))))).toContain("unknown fields 128")
  })

  it("a time is rounded up, and one beyond the field is the longest there is", () => {
    expect([...encodeEnvelope({ timeout: 0.25 })]).toEqual([1, 1, 0, 0, 0])
    expect([...encodeEnvelope({ timeout: 1e12 })]).toEqual([1, 255, 255, 255, 255])
  })
})
