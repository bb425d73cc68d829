import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { HandshakeRefused, VchanRpcError } from "../src/index.ts"
import { printable } from "../src/printable.ts"

describe("a text of the peer's", () => {
  it("steers no terminal and forges no line of a log: control characters are made visible", () => {
    expect(printable("a\u001b[2Jb\u009bc\u007f")).toBe("a\\u001b[2Jb\\u009bc\\u007f")
    expect(printable("one\r\nERROR two")).toBe("one ERROR two")
    expect(printable("user\u202etxt")).toBe("user\\u202etxt")
  })

  it("stays as it is where it has none", () => {
    expect(printable("Grüße, \"日本\" 🙂")).toBe("Grüße, \"日本\" 🙂")
  })

  it("is cut where it is long", () => {
    const { message } = new VchanRpcError({ domid: 1, service: "s", reason: new HandshakeRefused({ detail: "\n".repeat(60_000) }) })
    expect(message.length).toBeLessThan(10_000)
    expect(message.endsWith("…")).toBe(true)
  })

  it("has none left, whatever it is, in an error's message", () => {
    fc.assert(fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0x2100 }).map((code) => String.fromCharCode(code)) }), (detail) => {
      const { message } = new VchanRpcError({ domid: 1, service: "s", reason: new HandshakeRefused({ detail }) })
      expect(message).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
    }))
  })
})
