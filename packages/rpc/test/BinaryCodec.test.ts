import { Effect, Result, Schema } from "effect"
import * as fc from "fast-check"
import { spawnSync } from "node:child_process"
import { describe, expect, it } from "vitest"
import { maxNesting } from "../src/ByteWriter.ts"
import { binary, type Codec, fingerprintOf, generated, interpreted, json } from "../src/Codec.ts"
import type { PlainSchema } from "../src/Plan.ts"
import { shapeOf } from "../src/planOf.ts"
import { readShape, schemaOf, type Shape } from "../src/Shape.ts"

class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { why: Schema.String, when: Schema.Date }) {}
class Other extends Schema.TaggedError<Other>()("Other", { code: Schema.Int }) {}
class Person extends Schema.Class<Person>("Person")({ name: Schema.String, born: Schema.optionalKey(Schema.Date) }) {}

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({ value: Schema.Int, children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)) })
interface Link {
  readonly next?: Link
}
const Link = Schema.Struct({ next: Schema.optionalKey(Schema.suspend((): Schema.Codec<Link> => Link)) })

const both = (schema: PlainSchema): readonly [Codec, Codec] => [binary(schema, {}, generated), binary(schema, {}, interpreted)]

const hexOf = (result: Result.Result<Uint8Array, string>): string =>
  Result.isSuccess(result) ? Buffer.from(result.success).toString("hex") : result.failure

/** What both ways of running a plan make of bytes, which is the same. */
const decoded = (codecs: readonly [Codec, Codec], bytes: Uint8Array) => {
  const [one, other] = [codecs[0].decode(bytes), codecs[1].decode(bytes)]
  expect(one).toEqual(other)
  return one
}

const encoded = (codecs: readonly [Codec, Codec], value: unknown): Uint8Array => {
  const [one, other] = [codecs[0].encode(value), codecs[1].encode(value)]
  expect(hexOf(one)).toBe(hexOf(other))
  return Result.getOrThrow(one).slice()
}

const round = (schema: PlainSchema, value: unknown): unknown => {
  const codecs = both(schema)
  return Result.getOrThrow(decoded(codecs, encoded(codecs, value)))
}

const refusal = (schema: PlainSchema, hex: string): string => {
  const result = decoded(both(schema), Buffer.from(hex, "hex"))
  return Result.isFailure(result) ? result.failure : `no failure: ${JSON.stringify(result.success)}`
}

const unfit = (schema: PlainSchema, value: unknown): string => {
  const [one, other] = both(schema)
  const result = one.encode(value)
  expect(hexOf(result)).toBe(hexOf(other.encode(value)))
  return Result.isFailure(result) ? result.failure : "no failure"
}

/** A shape beside values of it. */
interface Sample {
  readonly shape: Shape
  readonly value: fc.Arbitrary<unknown>
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constant("\uFFFD"),
  fc.constant("x".repeat(200)),
  fc.constant("ü".repeat(100))
)
const leaves: ReadonlyArray<Sample> = [
  { shape: "string", value: text },
  { shape: "number", value: fc.double() },
  { shape: "integer", value: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -200, max: 200 }), fc.constant(-0)) },
  { shape: "boolean", value: fc.boolean() },
  { shape: "null", value: fc.constant(null) },
  { shape: "bigint", value: fc.oneof(fc.bigInt(), fc.bigInt({ min: -300n, max: 300n })) },
  { shape: "bytes", value: fc.uint8Array({ maxLength: 300 }) },
  // JSON has no -0.
  { shape: "json", value: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))) },
  { shape: { literal: "a" }, value: fc.constant("a") },
  { shape: { literal: 7 }, value: fc.constant(7) }
]
// What Object.prototype has is there for Effect in every object: such fields are required ones, below.
const name = fc.constantFrom("a", "b", "__proto__", "ü", "list", "", "c", "d", "e", "f", "g")

const { sample } = fc.letrec<{ sample: Sample }>((tie) => ({
  sample: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...leaves),
    tie("sample").map(({ shape, value }) => ({ shape: { array: shape }, value: fc.array(value, { maxLength: 4 }) })),
    fc.uniqueArray(fc.record({ name, optional: fc.boolean(), sample: tie("sample") }), { selector: ({ name }) => name, maxLength: 11 }).map(
      (fields) => ({
        shape: { fields: fields.map(({ name, optional, sample }) => ({ name, type: sample.shape, ...(optional ? { optional } : {}) })) },
        value: fc.tuple(
          ...fields.map((
            { name, optional, sample }
          ) => (optional ? fc.option(sample.value.map((value) => [name, value]), { nil: [] }) : sample.value.map((value) => [name, value])))
        ).map((entries) => Object.fromEntries(entries.filter(({ length }) => length > 0)))
      })
    ),
    tie("sample").map(({ shape, value }) => ({
      shape: { fields: [], rest: shape },
      value: fc.dictionary(name, value, { noNullPrototype: true })
    })),
    fc.tuple(tie("sample"), tie("sample"), tie("sample")).map(([one, two, rest]) => ({
      shape: { tuple: [one.shape, two.shape], optional: 1, rest: rest.shape },
      value: fc.oneof(
        fc.tuple(one.value),
        fc.tuple(one.value, two.value, fc.array(rest.value, { maxLength: 3 })).map(([one, two, rest]) => [one, two, ...rest])
      )
    })),
    fc.uniqueArray(fc.constantFrom(...leaves.slice(0, 7)), { minLength: 2, maxLength: 4 }).map((members) => ({
      shape: { union: members.map(({ shape }) => shape) },
      value: fc.oneof(...members.map(({ value }) => value))
    }))
  )
})) as unknown as { sample: fc.Arbitrary<Sample> }

const sampled = sample.chain(({ shape, value }) => fc.tuple(fc.constant(shape), value))

describe("The binary codec", () => {
  it("whatever the schema: reads what it writes, in one form, as JSON does", () => {
    fc.assert(
      fc.property(sampled, ([shape, value]) => {
        const schema = schemaOf(Result.getOrThrow(readShape(shape)))
        const codecs = both(schema)
        const bytes = encoded(codecs, value)
        const back = Result.getOrThrow(decoded(codecs, bytes))
        expect(back).toEqual(value)
        expect(hexOf(codecs[0].encode(back))).toBe(hexOf(codecs[0].encode(value)))
        const plain = json(schema, {})
        expect(hexOf(plain.encode(back))).toBe(hexOf(plain.encode(value)))
      }),
      { numRuns: 300 }
    )
  })

  it("whatever the bytes: gives a value that it writes as those very bytes, or a reason, both ways alike", () => {
    fc.assert(
      fc.property(sampled, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(), ([shape, value], changes, cut) => {
        const codecs = both(schemaOf(Result.getOrThrow(readShape(shape))))
        const bytes = encoded(codecs, value)
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte
        for (const message of [bytes, bytes.subarray(0, cut % (bytes.length + 1)), Uint8Array.from([...bytes, cut % 256])]) {
          const result = decoded(codecs, message)
          if (Result.isSuccess(result)) decoded(codecs, encoded(codecs, result.success))
        }
      }),
      { numRuns: 500 }
    )
  })

  it("whatever the value: writes it, or gives a reason, both ways alike", () => {
    fc.assert(
      fc.property(sample, fc.anything({ withBigInt: true, withTypedArray: true }), ({ shape }, value) => {
        const [one, other] = both(schemaOf(Result.getOrThrow(readShape(shape))))
        expect(hexOf(one.encode(value))).toBe(hexOf(other.encode(value)))
      }),
      { numRuns: 500 }
    )
  })

  it("keeps classes, dates, options and errors", () => {
    const when = new Date(5)
    const Errors = Schema.Union([Wrong, Other])
    expect(round(Errors, new Wrong({ why: "so", when }))).toEqual(new Wrong({ why: "so", when }))
    expect(round(Errors, new Other({ code: 3 }))).toBeInstanceOf(Other)
    expect(round(Schema.Array(Person), [new Person({ name: "a" }), new Person({ name: "b", born: when })])).toEqual([
      new Person({ name: "a" }),
      new Person({ name: "b", born: when })
    ])
    expect(round(Schema.NullOr(Schema.Date), when)).toEqual(when)
    expect(round(Schema.NullOr(Schema.Date), null)).toBeNull()
    const some = Schema.decodeUnknownSync(Schema.toCodecJson(Schema.Option(Schema.Uint8Array)))({ _tag: "Some", value: "AQ==" })
    expect(round(Schema.Option(Schema.Uint8Array), some)).toEqual(some)
    const map = new Map([["a", 1], ["b", Infinity]])
    expect(round(Schema.ReadonlyMap(Schema.String, Schema.Number), map)).toEqual(map)
  })

  it("keeps what transforms, defaults and renames", () => {
    const Settings = Schema.Struct({
      port: Schema.NumberFromString,
      host: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("localhost"))),
      maybe: Schema.optional(Schema.Int)
    })
    expect(round(Settings, { port: 80, host: "x", maybe: undefined })).toEqual({ port: 80, host: "x", maybe: undefined })
    expect(round(Schema.Union([Schema.NumberFromString, Schema.String]), 5)).toBe(5)
    expect(round(Schema.Union([Schema.Literals([1, 2]), Schema.String, Schema.Undefined]), undefined)).toBeUndefined()
    expect(round(Schema.TemplateLiteral(["a", Schema.Int]), "a5")).toBe("a5")
    expect(round(Schema.Record(Schema.TemplateLiteral(["a", Schema.Int]), Schema.Int), { a5: 1 })).toEqual({ a5: 1 })
    expect(round(Schema.Symbol, Symbol.for("a"))).toBe(Symbol.for("a"))
    expect(round(Schema.Literal(5n), 5n)).toBe(5n)
  })

  it("runs the checks of both sides, and tells where a value fails", () => {
    const Small = Schema.Struct({ list: Schema.Array(Schema.Struct({ n: Schema.Int.check(Schema.isLessThan(10)) })) })
    expect(unfit(Small, { list: [{ n: 1 }, { n: 10 }] })).toMatch(/less than 10[^]*at \["list"\]\[1\]\["n"\]/)
    const large = encoded(both(Schema.Struct({ list: Schema.Array(Schema.Struct({ n: Schema.Int })) })), { list: [{ n: 1 }, { n: 10 }] })
    expect(refusal(Small, Buffer.from(large).toString("hex"))).toMatch(/less than 10[^]*at \["list"\]\[1\]\["n"\]/)
    expect(unfit(Small, { list: [{}] })).toBe("Missing key\n  at [\"list\"][0][\"n\"]")
    expect(unfit(Schema.Int, 1.5)).toBe("expected an integer")
    expect(unfit(Schema.String, "\uD800")).toContain("surrogates")
  })

  it("each value has one form", () => {
    expect(refusal(Schema.String, "0161ff")).toContain("more bytes came")
    expect(refusal(Schema.String, "810061")).toContain("shortest form")
    expect(refusal(Schema.String, "01ff")).toContain("UTF-8")
    expect(refusal(Schema.String, "03eda080")).toContain("UTF-8")
    expect(refusal(Schema.String, "ffffffffffffff7f")).toContain("smaller number")
    expect(refusal(Schema.String, "05616263")).toContain("no more than there are bytes")
    expect(refusal(Schema.Int, "8000")).toContain("shortest form")
    expect(refusal(Schema.Int, "bfffffffffffff3f")).toContain("integer")
    expect(refusal(Schema.Int, "")).toContain("more bytes")
    expect(refusal(Schema.Boolean, "02")).toContain("boolean")
    expect(refusal(Schema.BigInt, "0100")).toContain("shortest form")
    expect(refusal(Schema.BigInt, "027f00")).toContain("shortest form")
    expect(refusal(Schema.BigInt, "0280ff")).toContain("shortest form")
    expect(refusal(Schema.Array(Schema.Null), "ffffffff0f")).toContain("no more than there are bytes")
    expect(refusal(Schema.Array(Schema.Null), "0101")).toContain("zero byte")
    expect(refusal(Schema.Struct({ a: Schema.optionalKey(Schema.Int) }), "02")).toContain("no more fields")
    expect(refusal(Schema.Literals(["a", "b"]), "02")).toContain("members")
    expect(refusal(Schema.Record(Schema.String, Schema.Int), "02016100016100")).toContain("each field once")
    expect(refusal(Schema.Tuple([Schema.Int, Schema.optionalKey(Schema.Int)]), "00")).toContain("elements")
  })

  it("values within values nest so deep and no deeper, whoever makes them", () => {
    const chain = (length: number): Link => Array.from({ length }).reduce<Link>((next) => ({ next }), {})
    const bytes = (length: number) => `${"01".repeat(length)}00`
    expect(Buffer.from(encoded(both(Link), chain(maxNesting))).toString("hex")).toBe(bytes(maxNesting))
    expect(unfit(Link, chain(maxNesting + 1))).toContain("nested")
    expect(refusal(Link, bytes(maxNesting + 1))).toContain("nested")
    expect(refusal(Link, "01".repeat(100_000))).toContain("nested")
    const loop: { next?: Link } = {}
    loop.next = loop
    expect(unfit(Link, loop)).toContain("nested")
    expect(round(Tree, { value: 1, children: [{ value: 2, children: [] }] })).toEqual({ value: 1, children: [{ value: 2, children: [] }] })
  })

  it("names of Object.prototype are names like others", () => {
    const Odd = Schema.Struct({ ["__proto__"]: Schema.String, constructor: Schema.optionalKey(Schema.Int), b: Schema.Int })
    const value = JSON.parse("{\"__proto__\":\"x\",\"b\":1,\"constructor\":2}")
    expect(JSON.stringify(round(Odd, value))).toBe("{\"__proto__\":\"x\",\"constructor\":2,\"b\":1}")
    expect(unfit(Odd, { constructor: 2, b: 1 })).toContain("__proto__")
    const record = Result.getOrThrow(
      both(Schema.Record(Schema.String, Schema.String))[0].decode(Buffer.from("01095f5f70726f746f5f5f0161", "hex"))
    )
    expect(Object.getPrototypeOf(record)).toBe(Object.prototype)
    expect(Object.keys(Object(record))).toEqual(["__proto__"])
  })

  it("a codec that is used while it is used keeps both values", () => {
    const codec = binary(Schema.Struct({ a: Schema.String, b: Schema.String }), {})
    let inner = ""
    const value = {
      a: "a",
      get b() {
        if (inner === "") inner = hexOf(codec.encode({ a: "inner", b: "inner" }))
        return "b"
      }
    }
    expect(hexOf(codec.encode(value))).toBe("01610162")
    expect(inner).toBe("05696e6e657205696e6e6572")
  })

  it("works where no code may be generated", () => {
    const script = `
      const { Schema, Result } = await import("effect")
      const { binary } = await import(${JSON.stringify(new URL("../src/Codec.ts", import.meta.url).href)})
      let refused = false
      try { new Function("return 1") } catch { refused = true }
      const codec = binary(Schema.Struct({ text: Schema.String, n: Schema.Int }), {})
      const bytes = Result.getOrThrow(codec.encode({ text: "hi", n: 5 }))
      console.log(refused, Buffer.from(bytes).toString("hex"), JSON.stringify(Result.getOrThrow(codec.decode(bytes))))`
    const args = ["--disallow-code-generation-from-strings", "--conditions=@vchan/source", "--input-type=module", "-e", script]
    const { stderr, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 })
    expect(`${stdout}${stderr}`).toContain("true 05026869 {\"text\":\"hi\",\"n\":5}")
  })

  it("a fingerprint does not depend on the order of fields, and does on their names and types", () => {
    const of = (success: PlainSchema) => fingerprintOf({ stream: false, payload: "null", success: shapeOf(success), error: "null" })
    const one = of(Schema.Struct({ a: Schema.Int, b: Schema.String }))
    expect(of(Schema.Struct({ b: Schema.String, a: Schema.Int }))).toBe(one)
    expect(of(Schema.Struct({ a: Schema.Int, c: Schema.String }))).not.toBe(one)
    expect(of(Schema.Struct({ a: Schema.Int, b: Schema.Int }))).not.toBe(one)
    expect(of(Schema.Struct({ a: Schema.Int, b: Schema.String, c: Schema.optionalKey(Schema.Int) }))).not.toBe(one)
    expect(of(Schema.Uint8Array)).not.toBe(of(Schema.String))
  })
})
