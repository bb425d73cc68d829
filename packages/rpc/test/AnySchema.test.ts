/**
 * What holds of the codecs whatever the schema. Where JSON is on the way, -0 is 0, and what JSON cannot tell apart comes back as the first that
 * it may be: so values are compared but for -0, and not where the shape has `"json"` in it.
 */
import { BigDecimal, Duration, Result, Schema } from "effect"
import { SchemaBinary } from "effect/encoding"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { binary, type Codec, generated, interpreted, json } from "../src/Codec.ts"
import type { PlainSchema } from "../src/Plan.ts"
import { shapeOf } from "../src/planOf.ts"
import { almost, anySchema } from "./support/schemas.ts"

expect.addEqualityTesters([
  (a, b) => (a === 0 && b === 0 ? true : undefined),
  // Both keep what was computed of them.
  (a, b) => (BigDecimal.isBigDecimal(a) && BigDecimal.isBigDecimal(b) ? BigDecimal.equals(a, b) : undefined),
  (a, b) => (Duration.isDuration(a) && Duration.isDuration(b) ? Duration.equals(a, b) : undefined)
])

/** A codec of each kind. */
const codecsOf = (schema: PlainSchema) => ({
  compiled: binary(schema, {}, generated),
  closures: binary(schema, {}, interpreted),
  text: json(schema, {})
})

const isExact = (schema: PlainSchema): boolean => !JSON.stringify(shapeOf(schema)).includes("\"json\"")

const nullsOf = (shape: unknown): number =>
  shape === "null" ? 1 : typeof shape === "object" && shape !== null && "union" in shape && Array.isArray(shape.union)
    ? shape.union.reduce((count: number, member) => count + nullsOf(member), 0)
    : 0

/** Whether there is a union of null and undefined, for both of which JSON has null. */
const hasTwoNulls = (shape: unknown): boolean =>
  typeof shape === "object" && shape !== null && (nullsOf(shape) > 1 || Object.values(shape).some(hasTwoNulls))

/** Whether JSON leaves something of a value out, which `Schema.Any` takes: a function, a symbol or undefined. */
const holdsWordless = (value: unknown, seen = new Set<object>()): boolean => {
  if (typeof value !== "object" || value === null) return ["undefined", "function", "symbol"].includes(typeof value)
  if (seen.has(value)) return false
  seen.add(value)
  return (value instanceof Map ? [...value.values()] : Object.values(value)).some((part) => holdsWordless(part, seen))
}

const hexOf = (result: Result.Result<Uint8Array, string>): string =>
  Result.isSuccess(result) ? Buffer.from(result.success).toString("hex") : result.failure

/** What the binary codec makes of a value, both ways alike. */
const encoded = ({ closures, compiled }: { readonly compiled: Codec; readonly closures: Codec }, value: unknown) => {
  const bytes = Result.map(compiled.encode(value), (bytes) => bytes.slice())
  expect(hexOf(closures.encode(value))).toBe(hexOf(bytes))
  return bytes
}

/** What it makes of bytes, both ways alike. */
const decoded = ({ closures, compiled }: { readonly compiled: Codec; readonly closures: Codec }, bytes: Uint8Array) => {
  const value = compiled.decode(bytes)
  expect(closures.decode(bytes)).toStrictEqual(value)
  return value
}

/** A reason tells of the value, and is none of the machinery's own accidents. */
const isReason = (reason: string): void => expect(reason).not.toMatch(/adapter|not a function|call stack|Cannot read|Maximum/)

/** Tells of the schema beside a counterexample, which does not show. */
const of = (schema: PlainSchema, check: () => void): void => {
  try {
    check()
  } catch (cause) {
    throw new Error(`${JSON.stringify(shapeOf(schema))}: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}

const withValue = anySchema.chain(({ schema, values }) => fc.tuple(fc.constant(schema), values))
const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
const change = (bytes: Uint8Array, changes: ReadonlyArray<readonly [at: number, byte: number]>): Uint8Array => {
  const changed = bytes.slice()
  for (const [at, byte] of changes) if (changed.length > 0) changed[at % changed.length] = byte
  return changed
}

const few = { numRuns: 250 }

describe("Codecs of any schema", () => {
  it("give back what they were given, in one form", () => {
    fc.assert(
      fc.property(withValue, ([schema, value]) =>
        of(schema, () => {
          const codecs = codecsOf(schema)
          const bytes = Result.getOrThrow(encoded(codecs, value))
          const back = Result.getOrThrow(decoded(codecs, bytes))
          expect(hexOf(codecs.compiled.encode(back))).toBe(hexOf(Result.succeed(bytes)))
          const text = Result.getOrThrow(codecs.text.encode(value))
          expect(hexOf(codecs.text.encode(Result.getOrThrow(codecs.text.decode(text))))).toBe(hexOf(Result.succeed(text)))
          if (!isExact(schema)) return
          expect(back).toStrictEqual(value)
          expect(hexOf(codecs.text.encode(back))).toBe(hexOf(Result.succeed(text)))
        })),
      few
    )
  })

  it("take the same values, and make the same of them: binary, JSON", () => {
    const strange = anySchema.chain(({ schema, values }) =>
      fc.tuple(fc.constant(schema), fc.oneof(almost(values), anySchema.chain(({ values }) => values)))
    )
    let taken = 0
    fc.assert(
      fc.property(strange, ([schema, value]) =>
        of(schema, () => {
          const codecs = codecsOf(schema)
          const [bytes, text] = [encoded(codecs, value), codecs.text.encode(value)]
          const isSure = isExact(schema) || !holdsWordless(value)
          if (isSure) expect([bytes, Result.isFailure(bytes)]).toEqual([bytes, Result.isFailure(text)])
          if (Result.isFailure(bytes)) return isReason(bytes.failure)
          // JSON leaves out what Schema.Any took for a field and has no text, such as undefined or a function: it is missed where it may not be.
          if (Result.isFailure(text)) return isReason(text.failure)
          taken++
          const back = Result.getOrThrow(decoded(codecs, bytes.success))
          const read = codecs.text.decode(Result.getOrThrow(text))
          if (!isSure) return Result.isFailure(read) && isReason(read.failure)
          const other = Result.getOrThrow(read)
          if (!isExact(schema)) return
          if (!hasTwoNulls(shapeOf(schema))) expect(back).toStrictEqual(other)
          expect(hexOf(codecs.text.encode(back))).toBe(hexOf(codecs.text.encode(other)))
        })),
      { numRuns: 600 }
    )
    expect(taken).toBeGreaterThan(0)
  })

  it("agree with Effect's SchemaBinary", () => {
    let compared = 0
    fc.assert(
      fc.property(withValue, ([schema, value]) =>
        of(schema, () => {
          const made = Result.try(() => SchemaBinary.encoder(schema, { fingerprint: true }))
          // It takes no unions whose members have no tag.
          if (Result.isFailure(made)) return expect(String(made.failure)).toContain("union members are not uniquely identifiable")
          const [theirs] = SchemaBinary.parser(schema, { fingerprint: true }).feedSync(made.success.encode(value))
          const codecs = codecsOf(schema)
          const ours = Result.getOrThrow(decoded(codecs, Result.getOrThrow(encoded(codecs, value))))
          if (!isExact(schema)) return
          expect(ours).toStrictEqual(theirs)
          compared++
        })),
      few
    )
    expect(compared).toBeGreaterThan(few.numRuns / 10)
  })

  it("make of any bytes a value of the schema, or a reason", () => {
    fc.assert(
      fc.property(withValue, changes, fc.nat(), ([schema, value], bytes, cut) =>
        of(schema, () => {
          const codecs = codecsOf(schema)
          const is = Schema.is(schema)
          const changed = change(Result.getOrThrow(encoded(codecs, value)), bytes)
          for (const message of [changed, changed.subarray(0, cut % (changed.length + 1)), Uint8Array.from([...changed, cut % 256])]) {
            const read = decoded(codecs, message)
            if (Result.isFailure(read)) {
              isReason(read.failure)
              continue
            }
            expect(is(read.success)).toBe(true)
            expect(decoded(codecs, Result.getOrThrow(encoded(codecs, read.success)))).toStrictEqual(read)
          }
          const read = codecs.text.decode(change(Result.getOrThrow(codecs.text.encode(value)), bytes))
          if (Result.isFailure(read)) isReason(read.failure)
          else expect(is(read.success)).toBe(true)
        })),
      few
    )
  })

  it("let a union's member that is any JSON take what is JSON, and the next one the rest", () => {
    const codecs = codecsOf(Schema.Struct({ a: Schema.optional(Schema.Unknown) }))
    const round = (value: unknown) => decoded(codecs, Result.getOrThrow(encoded(codecs, value)))
    expect(round({ a: undefined })).toStrictEqual(Result.succeed({ a: undefined }))
    expect(round({ a: [1] })).toStrictEqual(Result.succeed({ a: [1] }))
    expect(round({})).toStrictEqual(Result.succeed({}))
    const any = codecsOf(Schema.Struct({ a: Schema.optional(Schema.Any), b: Schema.Any }))
    const value = { a: undefined, b: undefined }
    expect(decoded(any, Result.getOrThrow(encoded(any, value)))).toStrictEqual(Result.succeed({ a: undefined, b: null }))
  })
})
