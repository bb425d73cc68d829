import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { formatOk, formatRefusal, formatRequest, LineDecoder, maxLine, parseAnswer, parseRequest } from "../src/internal/ControlProtocol.ts"

const word = fc.stringMatching(/^[!-~]{1,12}$/)
const id = fc.integer({ min: 0, max: 0xFFFF_FFFF })

describe("the control protocol", () => {
  it("reads back the requests and answers it writes", () => {
    fc.assert(fc.property(id, word, fc.array(word), (id, operation, words) => {
      assert.deepStrictEqual(parseRequest(formatRequest(id, operation, words).trimEnd()), { id, operation, words })
      assert.deepStrictEqual(parseAnswer(formatOk(id, words).slice(0, -1)), { _tag: "Ok", id, words })
    }))
    fc.assert(fc.property(id, word, id, fc.array(word), (id, code, number, text) => {
      const refusal = { code, number, text: text.join(" ") }
      assert.deepStrictEqual(parseAnswer(formatRefusal(id, refusal).slice(0, -1)), { _tag: "Refused", id, refusal })
    }))
  })

  it("finds the same lines however they are cut", () => {
    fc.assert(fc.property(fc.array(fc.stringMatching(/^[ -~]{0,20}$/)), fc.array(fc.nat(30)), (lines, cuts) => {
      const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""))
      const decoder = new LineDecoder()
      const found: Array<string> = []
      let start = 0
      for (const cut of [...cuts, bytes.length]) {
        found.push(...decoder.feed(bytes.subarray(start, start + cut)) ?? [])
        start += cut
      }
      assert.deepStrictEqual(found, lines)
    }))
  })

  it("takes no line over its limit, finished or not, and nothing after it", () => {
    const line = (length: number) => new Uint8Array(length).fill(0x61)
    assert.strictEqual(new LineDecoder().feed(Buffer.concat([line(maxLine), Buffer.from("\n")]))?.length, 1)
    for (const bytes of [Buffer.concat([line(maxLine + 1), Buffer.from("\n")]), line(maxLine + 1)]) {
      const decoder = new LineDecoder()
      assert.isUndefined(decoder.feed(bytes))
      assert.isUndefined(decoder.feed(Buffer.from("1 join\n")))
    }
  })

  it("takes any bytes without a fault", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const line of new LineDecoder().feed(bytes) ?? []) {
        parseRequest(line)
        parseAnswer(line)
      }
    }))
  })
})
