/**
 * Effect schemas of any kind, each beside values of it: for properties that have to hold whatever a service's schemas are. Pure.
 */
import { BigDecimal, DateTime, Duration, Effect, Exit, HashMap, Option, Redacted, Result, Schema, SchemaTransformation } from "effect"
import * as fc from "fast-check"
import type { PlainSchema } from "../../src/Plan.ts"

/** A schema, and values that it takes. */
export interface Sample {
  readonly schema: PlainSchema
  readonly values: fc.Arbitrary<unknown>
}

const sample = <T, E>(schema: Schema.Codec<T, E>, values: fc.Arbitrary<NoInfer<T>>): Sample => ({ schema, values })

const Level = { Low: 1, High: 2, Other: "other" } as const

const Port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 })).pipe(Schema.brand("Port"))
const port = Schema.decodeUnknownSync(Port)

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("", "\uFFFD", "\u0000", "x".repeat(200), "ü".repeat(100), "__proto__", "NaN")
)
const integer = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -200, max: 200 }), fc.constant(-0))
const bytes = fc.uint8Array({ maxLength: 300 })
const date = fc.date({ noInvalidDate: true })
const seconds = fc.integer({ min: 0, max: 4_000_000_000 })

/** Schemas that consist of no others. */
const leaves: ReadonlyArray<Sample> = [
  sample(Schema.String, text),
  sample(Schema.NonEmptyString, fc.string({ minLength: 1 })),
  sample(Schema.String.check(Schema.isMaxLength(300)), text),
  sample(Schema.Trim, fc.constantFrom("", "a", "a b")),
  sample(Schema.Number, fc.oneof(fc.double(), fc.constantFrom(-0, NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE))),
  sample(Schema.Finite, fc.double({ noNaN: true, noDefaultInfinity: true })),
  sample(Schema.Int, integer),
  sample(Schema.Natural, fc.maxSafeNat()),
  sample(Port, fc.integer({ min: 1, max: 65535 }).map(port)),
  sample(Schema.BigInt, fc.oneof(fc.bigInt(), fc.bigInt({ min: -300n, max: 300n }))),
  sample(Schema.Boolean, fc.boolean()),
  sample(Schema.Null, fc.constant(null)),
  sample(Schema.Undefined, fc.constant(undefined)),
  sample(Schema.Void, fc.constant(undefined)),
  sample(Schema.Literal("a"), fc.constant("a")),
  sample(Schema.Literal(-7), fc.constant(-7)),
  sample(Schema.Literal(5n), fc.constant(5n)),
  sample(Schema.Literals(["a", "b", 1, true]), fc.constantFrom(...["a", "b", 1, true] as const)),
  sample(Schema.Enum(Level), fc.constantFrom(Level.Low, Level.High, Level.Other)),
  sample(
    Schema.TemplateLiteral(["v", Schema.Int, ".", Schema.String]),
    fc.tuple(fc.nat(99), fc.string()).map(([n, s]): `v${number}.${string}` => `v${n}.${s}`)
  ),
  sample(Schema.Symbol, fc.string().map((name) => Symbol.for(name))),
  sample(Schema.Date, date),
  sample(Schema.DateTimeUtc, date.map(DateTime.makeUnsafe)),
  sample(
    Schema.Duration,
    fc.oneof(fc.nat().map(Duration.millis), fc.bigInt({ min: 0n, max: 2n ** 60n }).map(Duration.nanos), fc.constant(Duration.infinity))
  ),
  sample(
    Schema.BigDecimal,
    fc.tuple(fc.bigInt(), fc.integer({ min: -20, max: 20 })).map(([value, scale]) => BigDecimal.normalize(BigDecimal.make(value, scale)))
  ),
  sample(Schema.URL, fc.webUrl().map((url) => new URL(url))),
  // Effect's JSON codec needs a key that may be left out where it is of what is redacted and no text.
  sample(Schema.Redacted(Schema.String), text.map((text) => Redacted.make(text))),
  sample(Schema.Uint8Array, bytes),
  sample(Schema.Uint8ArrayFromBase64, bytes),
  sample(Schema.NumberFromString, fc.double().map((value) => value + 0)),
  sample(Schema.BooleanFromBit, fc.boolean()),
  sample(Schema.DateTimeUtcFromMillis, seconds.map((seconds) => DateTime.makeUnsafe(seconds * 1000))),
  sample(
    Schema.fromJsonString(Schema.Struct({ a: Schema.Int, b: Schema.optionalKey(Schema.String) })),
    fc.record({ a: fc.nat(), b: text }, { requiredKeys: ["a"], noNullPrototype: true })
  ),
  // JSON has no -0.
  sample(Schema.Json, fc.jsonValue().map((value): Schema.Json => JSON.parse(JSON.stringify(value)))),
  sample(Schema.Any, fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)))),
  sample(Schema.Unknown, fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value))))
]

/** What can be told from each other, as members of a union have to be where they are to come back as they went. */
const distinct: ReadonlyArray<Sample> = [
  sample(Schema.String, text),
  sample(Schema.Int, integer),
  sample(Schema.Boolean, fc.boolean()),
  sample(Schema.Null, fc.constant(null)),
  sample(Schema.TaggedStruct("A", { a: Schema.Int }), fc.nat().map((a) => ({ _tag: "A" as const, a }))),
  sample(Schema.TaggedStruct("B", { a: Schema.Int, when: Schema.Date }), date.map((when) => ({ _tag: "B" as const, a: 1, when }))),
  sample(Schema.Array(Schema.Int), fc.array(fc.nat(), { maxLength: 3 }))
]

const name = fc.constantFrom("a", "b", "__proto__", "ü", "list", "", "c", "d", "e", "f", "g", "0")

class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { why: Schema.String, when: Schema.Date }) {}

const entries = (fields: ReadonlyArray<readonly [string, PlainSchema]>): Record<string, PlainSchema> => Object.fromEntries(fields)

type Wrap = (inner: Sample) => Sample
const few = { maxLength: 4 }

/** Schemas that consist of one other. */
const wraps: ReadonlyArray<Wrap> = [
  ({ schema, values }) => sample(Schema.Array(schema), fc.array(values, few)),
  ({ schema, values }) => sample(Schema.mutable(Schema.Array(schema)), fc.array(values, few)),
  ({ schema, values }) =>
    sample(
      Schema.NonEmptyArray(schema),
      fc.tuple(values, fc.array(values, few)).map(([first, more]): [unknown, ...Array<unknown>] => [first, ...more])
    ),
  ({ schema, values }) => sample(Schema.Array(schema).check(Schema.isMaxLength(9)), fc.array(values, few)),
  ({ schema, values }) => sample(Schema.Record(Schema.String, schema), fc.dictionary(name, values, { noNullPrototype: true })),
  ({ schema, values }) =>
    sample(Schema.Record(Schema.Literals(["x", "y"]), schema), fc.record({ x: values, y: values }, { noNullPrototype: true })),
  ({ schema, values }) =>
    sample(
      Schema.Record(Schema.TemplateLiteral(["k", Schema.Int]), schema),
      fc.dictionary(fc.nat(9).map((n): `k${number}` => `k${n}`), values, { noNullPrototype: true })
    ),
  ({ schema, values }) => sample(Schema.Option(schema), fc.oneof(fc.constant(Option.none()), values.map(Option.some))),
  ({ schema, values }) => sample(Schema.Result(schema, Schema.String), fc.oneof(text.map(Result.fail), values.map(Result.succeed))),
  ({ schema, values }) => sample(Schema.Exit(schema, Wrong, Schema.Defect()), values.map(Exit.succeed)),
  ({ schema, values }) =>
    sample(Schema.ReadonlyMap(Schema.String, schema), fc.array(fc.tuple(text, values), few).map((entries) => new Map(entries))),
  ({ schema, values }) =>
    sample(Schema.HashMap(Schema.String, schema), fc.array(fc.tuple(text, values), few).map((entries) => HashMap.fromIterable(entries))),
  ({ schema, values }) =>
    sample(
      Schema.Struct({ inner: Schema.optional(schema) }),
      fc.oneof(fc.constant({}), fc.constant({ inner: undefined }), values.map((inner) => ({ inner })))
    ),
  ({ schema, values }) => sample(Schema.Struct({ inner: Schema.mutableKey(schema) }), values.map((inner) => ({ inner }))),
  ({ schema, values }) =>
    sample(Schema.Struct({ inner: schema }).pipe(Schema.encodeKeys({ inner: "outer" })), values.map((inner) => ({ inner }))),
  ({ schema, values }) => sample(Schema.Struct({ inner: schema }).check(Schema.makeFilter(() => true)), values.map((inner) => ({ inner }))),
  ({ schema, values }) =>
    sample(
      Schema.Struct({ inner: Schema.OptionFromOptionalKey(schema) }),
      fc.oneof(fc.constant(Option.none()), values.map(Option.some)).map((inner) => ({ inner }))
    ),
  ({ schema, values }) =>
    sample(
      Schema.Struct({ host: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("localhost"))), inner: schema }),
      fc.record({ host: text, inner: values }, { noNullPrototype: true })
    ),
  ({ schema, values }) =>
    sample(
      schema.pipe(Schema.decodeTo(
        Schema.Struct({ boxed: Schema.toType(schema) }),
        SchemaTransformation.transform({
          decode: (value: unknown) => ({ boxed: value }),
          encode: ({ boxed }) => boxed
        })
      )),
      values.map((boxed) => ({ boxed }))
    ),
  ({ schema, values }) => {
    class Box extends Schema.Class<Box>("Box")({ inner: schema, count: Schema.Int }) {}
    return sample(Box, values.map((inner) => new Box({ inner, count: 1 })))
  },
  ({ schema, values }) => {
    class Bad extends Schema.TaggedError<Bad>()("Bad", { inner: schema }) {}
    return sample(
      Schema.Union([Wrong, Bad]),
      fc.oneof(values.map((inner) => new Bad({ inner })), date.map((when) => new Wrong({ why: "so", when })))
    )
  },
  ({ schema, values }) => {
    interface Tree {
      readonly value: unknown
      readonly children: ReadonlyArray<Tree>
    }
    const Tree = Schema.Struct({ value: schema, children: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree)) })
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.record({ value: values, children: fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie("tree"), { maxLength: 2 })) }, {
        noNullPrototype: true
      })
    }))
    return sample(Tree, tree)
  },
  ({ schema, values }) => {
    // Two that contain each other.
    interface Expression {
      readonly operands: ReadonlyArray<Operation | null>
    }
    interface Operation {
      readonly of?: Expression
      readonly value: unknown
    }
    const Expression = Schema.Struct({
      operands: Schema.Array(Schema.NullOr(Schema.suspend((): Schema.Codec<Operation, unknown> => Operation)))
    })
    const Operation = Schema.Struct({ of: Schema.optionalKey(Expression), value: schema })
    const { operation } = fc.letrec<{ expression: Expression; operation: Operation }>((tie) => ({
      expression: fc.oneof(
        { maxDepth: 3 },
        fc.constant({ operands: [null] }),
        fc.record({ operands: fc.array(fc.option(tie("operation")), { maxLength: 2 }) }, { noNullPrototype: true })
      ),
      operation: fc.record({ of: tie("expression"), value: values }, { requiredKeys: ["value"], noNullPrototype: true })
    }))
    return sample(Operation, operation)
  }
]

/** Any schema, with values. */
export const { anySchema } = fc.letrec<{ anySchema: Sample }>((tie) => ({
  anySchema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(...leaves),
    fc.tuple(fc.constantFrom(...wraps), tie("anySchema")).map(([wrap, inner]) => wrap(inner)),
    fc.uniqueArray(fc.record({ name, optional: fc.boolean(), of: tie("anySchema") }), {
      selector: ({ name }) => name,
      minLength: 1,
      maxLength: 11
    }).map((fields) => ({
      schema: Schema.Struct(entries(fields.map(({ name, of, optional }) => [name, optional ? Schema.optionalKey(of.schema) : of.schema]))),
      values: fc.tuple(
        ...fields.map(({ name, of, optional }) => {
          const field = of.values.map((value) => [[name, value]])
          return optional ? fc.oneof(fc.constant([]), field) : field
        })
      ).map((fields) => Object.fromEntries(fields.flat()))
    })),
    fc.tuple(tie("anySchema"), tie("anySchema"), tie("anySchema")).map(([one, two, rest]) => ({
      schema: Schema.TupleWithRest(Schema.Tuple([one.schema, Schema.optionalKey(two.schema)]), [rest.schema]),
      values: fc.oneof(
        fc.tuple(one.values),
        fc.tuple(one.values, two.values, fc.array(rest.values, { maxLength: 3 })).map(([one, two, rest]) => [one, two, ...rest])
      )
    })),
    fc.tuple(tie("anySchema"), tie("anySchema"), tie("anySchema")).map(([one, two, last]) => ({
      schema: Schema.TupleWithRest(Schema.Tuple([one.schema]), [two.schema, last.schema]),
      values: fc.tuple(one.values, fc.array(two.values, { maxLength: 2 }), last.values).map(([one, two, last]) => [one, ...two, last])
    })),
    fc.array(fc.tuple(fc.stringMatching(/^z[a-c]{1,2}$/), fc.nat())).map((more) => ({
      schema: Schema.StructWithRest(Schema.Struct({ count: Schema.Int }), [Schema.Record(Schema.String, Schema.Int)]),
      values: fc.nat().map((count) => ({ count, ...Object.fromEntries(more) }))
    })),
    fc.uniqueArray(fc.constantFrom(...distinct), { minLength: 1, maxLength: 5 }).map((members) => ({
      schema: Schema.Union(members.map(({ schema }) => schema)),
      values: fc.oneof(...members.map(({ values }) => values))
    }))
  )
}))

class Stranger {
  readonly a = 1
}

/** What fits few schemas. */
const odd: fc.Arbitrary<unknown> = fc.constantFrom<Array<unknown>>(
  ...[undefined, null, NaN, 1.5, -0, 2 ** 60, 5n, true, "x", "5", Symbol.for("a"), Symbol("b"), () => 1],
  ...[{}, [], [undefined], { inner: undefined }, { _tag: "A" }, new Stranger(), new Date(NaN), new Date(5), new Uint8Array(2), new Map()]
)

/** The value with something odd for a part of it, or with that part left out. */
const spoiled = (value: unknown, path: ReadonlyArray<number>, by: unknown, isLeftOut: boolean): unknown => {
  const [at = 0, ...further] = path
  const here = isLeftOut && further.length === 0
  if (Array.isArray(value) && value.length > 0) {
    const index = at % value.length
    return here ? value.toSpliced(index, 1) : value.with(index, spoiled(value[index], further, by, isLeftOut))
  }
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return by
  const fields = Object.entries(value)
  const [name] = fields[at % fields.length] ?? []
  if (name === undefined) return by
  return here
    ? Object.fromEntries(fields.filter(([key]) => key !== name))
    : Object.fromEntries(fields.map(([key, part]) => [key, key === name ? spoiled(part, further, by, isLeftOut) : part]))
}

/** Values that are wrong in one place, most of them. */
export const almost = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.tuple(values, fc.array(fc.nat(), { maxLength: 3 }), odd, fc.boolean()).map(([value, path, by, isLeftOut]) =>
    spoiled(value, path, by, isLeftOut)
  )
