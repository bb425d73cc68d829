import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { shapeOf } from "../src/planOf.ts"
import { isAmbiguous, maxDepth, maxSize, readShape, schemaOf, type Shape } from "../src/Shape.ts"

class Person extends Schema.Class<Person>("Person")({ name: Schema.String, age: Schema.optionalKey(Schema.Int) }) {}
class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { why: Schema.String }) {}

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  value: Schema.Number,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})

const leaf = fc.constantFrom<Shape>("string", "number", "integer", "boolean", "null", "bigint", "bytes", "json")
const literal = fc.oneof(fc.string(), fc.integer(), fc.boolean()).map((literal): Shape => ({ literal }))

/** Shapes as `shapeOf` gives them: fields in their order. */
const { shape: any } = fc.letrec<{ shape: Shape }>((tie) => ({
  shape: fc.oneof(
    { maxDepth: 4 },
    leaf,
    literal,
    fc.integer({ min: 1, max: 3 }).map((up): Shape => ({ up })),
    tie("shape").map((array): Shape => ({ array })),
    fc.array(tie("shape"), { maxLength: 3 }).filter(({ length }) => length !== 1).map((union): Shape => ({ union })),
    fc.record({ tuple: fc.array(tie("shape"), { minLength: 1, maxLength: 3 }), rest: tie("shape") }, { requiredKeys: ["tuple"] }),
    fc.record({
      fields: fc.uniqueArray(
        fc.record({ name: fc.string(), type: tie("shape"), optional: fc.constant(true as const) }, { requiredKeys: ["name", "type"] }),
        { maxLength: 4, selector: ({ name }) => name }
      ).map((fields) => fields.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))),
      rest: tie("shape")
    }, { requiredKeys: ["fields"] })
  )
}))

const shape = any.filter((shape) => Result.isSuccess(readShape(shape)))

const reason = (json: unknown): string => {
  const read = readShape(json)
  return Result.isFailure(read) ? read.failure : "no failure"
}

/** A tree whose nodes are told apart by these fields. */
const trees = (...nodes: ReadonlyArray<Readonly<Record<string, string>>>): Shape => ({
  union: [
    "null",
    ...nodes.map((tags) => ({
      fields: [
        { name: "left", type: { up: 2 } },
        ...Object.entries(tags).map(([name, literal]) => ({ name, type: { literal } }))
      ]
    }))
  ]
})

/** A union of objects that hold such values under these names. */
const terms = (...members: ReadonlyArray<ReadonlyArray<string>>): Shape => ({
  union: ["integer", ...members.map((names) => ({ fields: names.map((name) => ({ name, type: { up: 2 } })) }))]
})

const nested = (depth: number): Shape => (depth === 0 ? "string" : { array: nested(depth - 1) })

describe("Shape", () => {
  it("tells the encoded side of a schema, in the order of the fields' names", () => {
    expect(shapeOf(Schema.Struct({ b: Schema.optionalKey(Schema.Date), a: Schema.NumberFromString, c: Schema.Uint8Array }))).toEqual({
      fields: [{ name: "a", type: "string" }, { name: "b", type: "string", optional: true }, { name: "c", type: "bytes" }]
    })
  })

  it("tells a class and an error as their fields", () => {
    expect(shapeOf(Person)).toEqual({ fields: [{ name: "age", type: "integer", optional: true }, { name: "name", type: "string" }] })
    expect(shapeOf(Wrong)).toEqual({ fields: [{ name: "_tag", type: { literal: "Wrong" } }, { name: "why", type: "string" }] })
  })

  it("tells values within values of their own kind", () => {
    expect(shapeOf(Tree)).toEqual({ fields: [{ name: "children", type: { array: { up: 2 } } }, { name: "value", type: "number" }] })
    expect(shapeOf(schemaOf(shapeOf(Tree)))).toEqual(shapeOf(Tree))
  })

  it("tells what else schemas are made of", () => {
    expect(shapeOf(Schema.Void)).toBe("null")
    expect(shapeOf(Schema.Unknown)).toBe("json")
    expect(shapeOf(Schema.BigInt)).toBe("bigint")
    expect(shapeOf(Schema.Never)).toEqual({ union: [] })
    expect(shapeOf(Schema.Union([Schema.Int]))).toBe("integer")
    expect(shapeOf(Schema.NullOr(Schema.Literal(1)))).toEqual({ union: [{ literal: 1 }, "null"] })
    expect(shapeOf(Schema.NonEmptyArray(Schema.Finite))).toEqual({ tuple: ["number"], rest: "number" })
    expect(shapeOf(Schema.Record(Schema.String, Schema.Boolean))).toEqual({ fields: [], rest: "boolean" })
    expect(shapeOf(Schema.Option(Schema.String))).toEqual(shapeOf(Schema.toEncoded(Schema.toCodecJson(Schema.Option(Schema.String)))))
  })

  it("tells a schema that nests too deep as JSON", () => {
    expect(shapeOf(schemaOf(nested(maxDepth)))).toBe("json")
  })

  it("gives a schema of that shape, whatever the shape", () => {
    fc.assert(fc.property(shape, (shape) => {
      expect(shapeOf(schemaOf(shape))).toEqual(shape)
    }))
  })

  it("gives a schema that reads and writes JSON", () => {
    const codec = Schema.toCodecJson(schemaOf(shapeOf(Schema.Struct({ bytes: Schema.Uint8Array, tree: Tree }))))
    const json = { bytes: "AQID", tree: { value: 1, children: [{ value: 2, children: [] }] } }
    const value = { bytes: Uint8Array.from([1, 2, 3]), tree: json.tree }
    expect(Schema.decodeUnknownSync(codec)(json)).toEqual(value)
    expect(Schema.encodeUnknownSync(codec)(value)).toEqual(json)
  })

  it("is read from JSON", () => {
    fc.assert(fc.property(shape, (shape) => {
      expect(Result.getOrThrow(readShape(JSON.parse(JSON.stringify(shape))))).toEqual(shape)
    }))
  })

  it("any JSON gives a shape or a reason", () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => {
      readShape(json)
    }))
  })

  it("is refused where it nests too deep, is too large, or has no end", () => {
    expect(reason(nested(maxDepth - 1))).toBe("no failure")
    expect(reason(nested(maxDepth))).toContain("deep")
    expect(reason(nested(5000))).toContain("deep")
    expect(reason({ union: Array.from({ length: maxSize }, () => "null") })).toContain(`more than ${maxSize}`)
    expect(reason({ up: 1 })).toContain("not there")
    expect(reason({ array: { up: 2 } })).toContain("not there")
    expect(reason({ union: [{ up: 1 }] })).toContain("a union of itself")
    expect(reason({ array: { union: [{ union: [{ up: 2 }] }] } })).toContain("a union of itself")
    expect(reason({ array: { union: ["null", { up: 2 }] } })).toBe("no failure")
    expect(reason({ fields: [{ name: "a", type: "null" }, { name: "a", type: "null" }] })).toContain("two fields")
    expect(reason({ tuple: ["null"], optional: 2 })).toContain("optional")
  })

  it("is refused where a part of it is of two kinds, before it is tried as each of them", () => {
    const kinds = { literal: "", array: "null", tuple: [], fields: [], union: [], up: 1 }
    for (const [one, other] of [["tuple", "fields"], ["array", "union"], ["literal", "up"], ["array", "fields"]] as const) {
      expect(reason({ array: { [one]: kinds[one], [other]: kinds[other] } })).toBe("a shape of two kinds")
    }
    let json: unknown = 0
    for (let depth = 0; depth < 200; depth++) json = { tuple: [], fields: [], rest: json }
    expect(reason(json)).toBe("a shape of two kinds")
  })

  it("is ambiguous where members of a union hold such values again and are not told apart by kind or tag", () => {
    const lists: Shape = { union: [{ array: { up: 2 } }, { tuple: [{ up: 2 }] }] }
    const ways: Shape = { union: ["null", { array: { union: [{ up: 2 }, { up: 2 }] } }] }
    const apart = [trees({ tag: "a" }, { tag: "b" }), { union: ["null", { array: { up: 2 } }, { fields: [], rest: { up: 2 } }] }]
    const alike = [lists, ways, trees({}, {}), trees({ tag: "a" }, { tag: "a" }), trees({ kind: "a", one: "" }, { kind: "b", two: "" })]
    for (const shape of apart) expect(isAmbiguous({ array: shape } as Shape)).toBe(false)
    for (const shape of alike) expect(isAmbiguous({ array: shape } as Shape)).toBe(true)
    expect(isAmbiguous(shapeOf(Schema.Json))).toBe(false)
    expect(isAmbiguous(shapeOf(Tree))).toBe(false)
  })

  it("is not ambiguous where no two members of a union hold such values under one name", () => {
    const rest: Shape = { union: ["null", { fields: [{ name: "left", type: { up: 2 } }] }, { fields: [], rest: { up: 2 } }] }
    expect(isAmbiguous(terms(["and"], ["left", "right"], ["not"]))).toBe(false)
    expect(isAmbiguous(terms(["and"], ["and", "not"]))).toBe(true)
    expect(isAmbiguous(rest)).toBe(true)
  })

  it("otherwise reads a value in one way, however deep it is", () => {
    let value: unknown = 7
    for (let depth = 0; depth < 200; depth++) value = { left: value, tag: "b" }
    const decode = Schema.decodeUnknownResult(Schema.toCodecJson(schemaOf(trees({ tag: "a" }, { tag: "b" }))))
    expect(Result.isFailure(decode(value))).toBe(true)
    let term: unknown = "none"
    for (let depth = 0; depth < 200; depth++) term = depth % 2 === 0 ? { left: "none", not: term } : { left: term, right: 1, not: "none" }
    const decodeTerm = Schema.decodeUnknownResult(Schema.toCodecJson(schemaOf(terms(["left", "right"], ["not"]))))
    expect(Result.isFailure(decodeTerm(term))).toBe(true)
  })
})
