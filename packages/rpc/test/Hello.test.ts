import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeHello, encodeHello, type Hello } from "../src/Hello.ts"
import { limitsFrom } from "../src/Limits.ts"

const hello: Hello = { service: "echo", limits: limitsFrom({}), methods: [{ name: "Say", fingerprint: "unary 00" }] }

const reason = (body: Uint8Array): string => {
  const decoded = decodeHello(body)
  return Result.isFailure(decoded) ? decoded.failure : "no failure"
}

describe("Hello", () => {
  it("what is encoded is decoded", () => {
    expect(Result.getOrThrow(decodeHello(encodeHello(hello)))).toEqual(hello)
  })

  it("begins with the letters vchanrpc and the version", () => {
    expect([...encodeHello(hello).subarray(0, 10)]).toEqual([...new TextEncoder().encode("vchanrpc"), 1, 0])
  })

  it("other letters are no Hello", () => {
    const body = encodeHello(hello)
    body[0] = 0
    expect(reason(body)).toContain("no Hello of vchan-rpc")
    expect(reason(new Uint8Array(0))).toContain("no Hello of vchan-rpc")
  })

  it("another version is refused, naming both", () => {
    const body = encodeHello(hello)
    body[8] = 2
    expect(reason(body)).toBe("a Hello of version 2 was sent, and the receiver speaks version 1 of vchan-rpc")
  })

  it("limits out of range are refused", () => {
    expect(reason(encodeWith(`{"service":"echo","limits":{"maxMessage":0,"maxCalls":1,"window":1024},"methods":[]}`))).toContain(
      "maxMessage"
    )
  })

  it("is refused shortly, whatever is wrong with the shapes in it", () => {
    const wrong = (depth: number): unknown => depth === 0 ? 7 : { union: ["null", wrong(depth - 1)] }
    const shapes = JSON.stringify({ stream: false, payload: wrong(60), success: "null", error: "null" })
    const name = JSON.stringify("n".repeat(100_000))
    const told = (name: string) =>
      encodeWith(
        `{"service":"echo","limits":${JSON.stringify(hello.limits)},"methods":[{"name":${name},"fingerprint":"","shapes":${shapes}}]}`
      )
    expect(reason(told("\"Say\""))).toMatch(/^a malformed Hello was sent: "Say": .{1,1000}…$/s)
    expect(reason(told(name)).length).toBeLessThan(1100)
  })

  it("any bytes give a Hello or a reason", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => {
      decodeHello(bytes)
      decodeHello(Uint8Array.from([...encodeHello(hello).subarray(0, 10), ...bytes]))
    }))
  })
})

const encodeWith = (json: string): Uint8Array => Uint8Array.from([...encodeHello(hello).subarray(0, 10), ...new TextEncoder().encode(json)])
