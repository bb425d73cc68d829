import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { printable } from "../src/index.ts"

describe("a text of another domain's", () => {
  it("steers no terminal and forges no line of a log: control characters are made visible", () => {
    expect(printable("a\u001b[2Jb\u009bc\u007f")).toBe("a\\u001b[2Jb\\u009bc\\u007f")
    expect(printable("one\r\nERROR two")).toBe("one ERROR two")
    expect(printable("user\u202etxt")).toBe("user\\u202etxt")
  })

  it("stays as it is where it has none", () => {
    expect(printable("Grüße, \"日本\" 🙂")).toBe("Grüße, \"日本\" 🙂")
  })

  it("is cut where it is long, and has nothing left that steers, whatever it is", () => {
    const text = fc.string({ unit: fc.integer({ min: 0, max: 0x2100 }).map((code) => String.fromCharCode(code)), maxLength: 2000 })
    fc.assert(fc.property(text, (text) => {
      expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
      expect(printable(text).length).toBeLessThanOrEqual(6 * 1001)
    }))
  })
})
