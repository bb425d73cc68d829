import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { type Mismatch, mismatchOf } from "../src/Compatibility.ts"
import { incompatibilityOf } from "../src/MethodShapes.ts"
import type { PlainSchema } from "../src/Plan.ts"
import { shapeOf } from "../src/planOf.ts"
import type { Shape } from "../src/Shape.ts"

class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.Int }) {}
class NotFoundByName extends Schema.TaggedError<NotFoundByName>()("NotFound", { id: Schema.String }) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

const { Array: List, Int, Literals, Null, NullOr, Number, optionalKey, Record, String: Text, Struct, Tuple, Union } = Schema

const compare = (written: PlainSchema, read: PlainSchema): Mismatch | undefined => mismatchOf("payload", shapeOf(written), shapeOf(read))

const told = (written: PlainSchema, read: PlainSchema): string => {
  const found = compare(written, read)
  return found === undefined ? "fits" : `${found.path}: ${found.written}, ${found.read}`
}

interface Tree {
  readonly value: number | string
  readonly children: ReadonlyArray<Tree>
}
const treeOf = <A extends number | string>(value: Schema.Codec<A>, extra: Schema.Struct.Fields = {}) => {
  const tree: Schema.Codec<Tree> = Struct({ value, children: List(Schema.suspend(() => tree)), ...extra })
  return tree
}

const cases: ReadonlyArray<readonly [what: string, written: PlainSchema, read: PlainSchema, told: string]> = [
  ["a field that only the writer knows", Struct({ a: Int, b: Int }), Struct({ a: Int }), "fits"],
  ["a field that only the reader knows and may miss", Struct({ a: Int }), Struct({ a: Int, b: optionalKey(Int) }), "fits"],
  ["a field that only the reader knows and needs", Struct({ a: Int }), Struct({ a: Int, b: Int }), "payload.b: nothing, integer"],
  ["a field that the writer may leave out", Struct({ a: optionalKey(Int) }), Struct({ a: Int }), "fits"],
  ["a field of another kind", Struct({ a: Int }), Struct({ a: Text }), "payload.a: integer, string"],
  ["a field further in", List(Struct({ a: Tuple([Int]) })), List(Struct({ a: Tuple([Null]) })), "payload[].a[0]: integer, null"],
  ["a class and a plain struct", NotFound, Struct({ _tag: Text, id: Int }), "fits"],
  ["a number and an integer", Number, Int, "fits"],
  ["a text and some texts", Text, Literals(["a", "b"]), "fits"],
  ["some texts and a text", Literals(["a", "b"]), Text, "fits"],
  ["some texts of which the reader knows one", Literals(["a", "b"]), Literals(["b", "c"]), "fits"],
  ["other texts", Literals(["a"]), Literals(["b"]), "payload: \"a\", \"b\""],
  ["a member that only the reader knows", NotFound, Union([NotFound, Denied]), "fits"],
  ["a member that only the writer knows", Union([NotFound, Denied]), NotFound, "fits"],
  ["a member of the same tag", Union([NotFound, Denied]), Union([NotFoundByName, Denied]), "payload(NotFound).id: integer, string"],
  ["a value beside null", NullOr(Int), NullOr(Text), "payload: integer, string"],
  ["null where there was none", NullOr(Int), Int, "fits"],
  ["a union without what is written", Int, Union([Text, Null]), "payload: integer, string | null"],
  ["anything", Schema.Unknown, Int, "fits"],
  ["bytes and text", Schema.Uint8Array, Text, "payload: bytes, string"],
  ["a date and text", Schema.Date, Text, "fits"],
  ["a record's values", Record(Text, Int), Record(Text, Text), "payload[]: integer, string"],
  ["a record that may have the field", Record(Text, Int), Struct({ a: Int }), "fits"],
  ["a field among a record's values", Struct({ a: Int }), Record(Text, Text), "payload.a: integer, string"],
  ["a tuple too short", Tuple([Int]), Tuple([Int, Text]), "payload[1]: nothing, an element"],
  ["a tuple too long", Tuple([Int, Text]), Tuple([Int]), "payload[1]: an element, nothing"],
  ["a list for a tuple", List(Int), Tuple([Int, Int]), "fits"],
  ["a list of others for a tuple", List(Int), Tuple([Int, Text]), "payload[1]: integer, string"],
  ["values within values", treeOf(Int), treeOf(Text), "payload.value: integer, string"],
  ["values within values with more", treeOf(Int, { extra: Int }), treeOf(Number), "fits"],
  ["no value at all", Schema.Never, Int, "fits"],
  ["no value to read", Int, Schema.Never, "payload: integer, nothing"]
]

const method = (payload: PlainSchema, success: PlainSchema, error: PlainSchema, stream = false) => ({
  payload: shapeOf(payload),
  success: shapeOf(success),
  error: shapeOf(error),
  stream
})

describe("Compatibility", () => {
  for (const [what, written, read, expected] of cases) {
    it(`${what}: ${expected}`, () => {
      expect(told(written, read)).toBe(expected)
    })
  }

  it("a shape fits itself", () => {
    for (const [, written, read] of cases) expect([compare(written, written), compare(read, read)]).toEqual([undefined, undefined])
  })

  it("a payload is what the client writes, and a value and an error what the server does", () => {
    const old = method(Struct({ a: Int }), Struct({ a: Int }), Schema.Never)
    const more = method(Struct({ a: Int, b: Int }), Struct({ a: Int, b: Int }), Schema.Never)
    expect(incompatibilityOf(old, more)).toEqual({ path: "payload.b", client: "nothing", server: "integer" })
    expect(incompatibilityOf(more, old)).toEqual({ path: "success.b", client: "integer", server: "nothing" })
  })

  it("errors that only one side knows leave something to call for, and errors of one tag must fit", () => {
    const withError = (error: PlainSchema) => method(Null, Null, error)
    for (const error of [NotFound, Denied, Union([NotFound, Denied]), Schema.Never]) {
      expect(incompatibilityOf(withError(error), withError(Denied))).toBeUndefined()
      expect(incompatibilityOf(withError(Denied), withError(error))).toBeUndefined()
    }
    expect(incompatibilityOf(withError(NotFound), withError(Union([Denied, NotFoundByName])))).toEqual({
      path: "error(NotFound).id",
      client: "integer",
      server: "string"
    })
  })

  it("a stream is no single value", () => {
    expect(incompatibilityOf(method(Null, Int, Schema.Never), method(Null, Int, Schema.Never, true))).toEqual({
      path: "success",
      client: "one value",
      server: "a stream"
    })
  })

  it("ends whatever the peer's shapes are, and tells of them shortly", () => {
    const wide = (depth: number): Shape =>
      depth === 0 ? { up: 2 } : { array: { union: [wide(depth - 1), { array: wide(depth - 1) }, { literal: "x".repeat(1000) }] } }
    const found = mismatchOf("payload", wide(9), { array: { union: [{ literal: 1 }, { array: { up: 2 } }, { array: "null" }] } })
    expect(JSON.stringify(found ?? {}).length).toBeLessThan(1000)
    const members = Array.from(
      { length: 1300 },
      (_, literal) => ({ fields: [{ name: "a", type: { up: 2 } }, { name: "t", type: { literal } }] })
    )
    expect(mismatchOf("payload", { union: members }, { union: members })).toBeUndefined()
    const unions = (left: number): Shape => ({
      union: [...Array.from({ length: 30 }, () => ({ up: 2 })), left === 0 ? "string" : { array: unions(left - 1) }]
    })
    const many: Shape = { union: ["null", { array: unions(20) }] }
    expect(mismatchOf("payload", many, many)).toBeUndefined()
    const name = "\u001b[2J".repeat(1000)
    expect(mismatchOf("payload", { fields: [{ name, type: "null" }] }, { fields: [{ name, type: "string" }] })?.path).toMatch(
      /^payload\."[ -~]{10,100}…"$/
    )
  })
})
