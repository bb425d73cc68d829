import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { binary, json } from "../src/Codec.ts"
import { jsonOf, maxJsonNesting, parseJson } from "../src/jsonText.ts"

interface Tree {
  readonly when: Date
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({ when: Schema.Date, children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)) })

const lists = (depth: number): string => "[".repeat(depth) + "]".repeat(depth)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const ignore = (): void => undefined
const failure = (result: Result.Result<unknown, string>): string => Result.isFailure(result) ? result.failure : "no failure"

describe("JSON as text", () => {
  it("is read and written as JSON is, whatever is in it", () => {
    const long = fc.jsonValue().map((value) => JSON.stringify([value, "[{\"\\".repeat(1000)]))
    fc.assert(fc.property(fc.oneof(long, fc.json()), (text) => {
      expect(parseJson(text, ignore)).toEqual(JSON.parse(text))
      expect(jsonOf(JSON.parse(text))).toBe(JSON.stringify(JSON.parse(text)))
    }))
    expect(() => parseJson(`"${"[".repeat(10_000)}`, ignore)).toThrow("JSON")
  })

  it("nests so deep and no deeper", () => {
    expect(jsonOf(parseJson(lists(maxJsonNesting), ignore))).toBe(lists(maxJsonNesting))
    expect(() => parseJson(lists(maxJsonNesting + 1), ignore)).toThrow("nested at most 1024 deep")
    expect(() => jsonOf(JSON.parse(lists(maxJsonNesting + 1)))).toThrow("nested at most 1024 deep")
    const wide = `[${Array.from({ length: 5000 }, () => "{\"a\":[]}").join(",")}]`
    expect(jsonOf(parseJson(wide, ignore))).toBe(wide)
  })

  it("arrays and objects are counted, and of other values four as one; no text's brackets are", () => {
    const counts: Array<number> = []
    for (const text of ["[]", "[1,2,3,4,5]", "{\"a\":[{},{}]}", "\"[[{,\\\"[\"", "[\"\\\\\",[]]"]) {
      parseJson(text, (count) => counts.push(count))
    }
    expect(counts).toEqual([1, 2, 4.25, 0, 2.25])
  })

  it("a value that nests too deep is a reason that names the field, in either codec, and however deep", () => {
    for (const depth of [600, 5000, 100_000]) {
      const deep = `{"when":"2020-01-01T00:00:00.000Z","children":[`.repeat(depth) + "]}".repeat(depth)
      expect(failure(json(Tree, {}).decode(bytes(deep)))).toBe("expected values nested at most 1024 deep\n  at [\"children\"]")
      const Any = Schema.Struct({ any: Schema.Json })
      const inBytes = binary(Schema.Struct({ any: Schema.String }), {}).encode({ any: lists(2 * depth) })
      expect(failure(binary(Any, {}).decode(Result.getOrThrow(inBytes)))).toBe("expected values nested at most 1024 deep\n  at [\"any\"]")
      let tree: Tree = { when: new Date(0), children: [] }
      for (let level = 0; level < depth; level++) tree = { when: new Date(0), children: [tree] }
      expect(failure(json(Tree, {}).encode(tree))).toMatch(/^expected values (nested at most 1024 deep|that nest less deep)/)
      expect(failure(binary(Tree, {}).encode(tree))).toMatch(/^expected values nested at most 256 deep\n {2}at \["children"\]\[0\]/)
    }
  })

  it("what a schema's own code throws is told as it is", () => {
    const Odd = Schema.Struct({
      a: Schema.String.check(Schema.makeFilter(() => {
        throw new Error("the check is broken")
      }))
    })
    for (const codec of [json(Odd, {}), binary(Odd, {})]) expect(failure(codec.encode({ a: "x" }))).toContain("the check is broken")
  })
})
