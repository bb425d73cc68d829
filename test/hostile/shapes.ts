/**
 * What a hostile server tells of its methods, as plain data: shapes of every kind, and what is none. Some are made to cost their reader much.
 */
import { Result } from "effect"
import * as fc from "fast-check"
import { readShape } from "../../packages/rpc/src/Shape.ts"

const names = [
  "a",
  "left",
  "_tag",
  "__proto__",
  "constructor",
  "toString",
  "",
  "\u001b[2J",
  "\r\nvchan: done",
  "\u202etxt",
  "n".repeat(5000)
]
const name = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...names) }, fc.string({ maxLength: 8 }))

const nested = (depth: number, around: (inner: unknown) => unknown, inner: unknown): unknown =>
  depth === 0 ? inner : around(nested(depth - 1, around, inner))
const times = <A>(count: number, each: (index: number) => A): ReadonlyArray<A> => Array.from({ length: count }, (_, index) => each(index))

/** Unions that hold each other in many ways, and shapes that are deep, wide, or endless. */
const costly: ReadonlyArray<unknown> = [
  { union: ["null", { array: { up: 2 } }, { array: { up: 2 } }] },
  { union: ["null", { tuple: [{ up: 2 }, { up: 2 }] }, { fields: [], rest: { up: 2 } }] },
  {
    union: ["null", {
      array: { union: [...times(30, () => ({ up: 2 })), { array: { union: [...times(30, () => ({ up: 2 })), "string"] } }] }
    }]
  },
  { union: times(1300, (literal) => ({ fields: [{ name: "a", type: { up: 2 } }, { name: "t", type: { literal } }] })) },
  { union: times(4000, (literal) => ({ literal })) },
  { fields: times(4000, (index) => ({ name: `f${index}`, type: "null" })) },
  { tuple: times(4000, () => "null"), optional: 4000, rest: "null" },
  { array: { up: 1 } },
  { fields: [{ name: "next", type: { up: 1 } }] },
  { union: [{ up: 1 }] },
  { up: 4_294_967_295 },
  { tuple: ["null"], optional: 7 },
  nested(60, (inner) => ({ array: inner }), "null"),
  nested(60, (inner) => ({ union: ["null", inner] }), 7),
  nested(5000, (inner) => ({ array: inner }), "null"),
  { literal: 1, array: "null", tuple: [], fields: [], union: [], up: 1 },
  JSON.parse(`{"__proto__":{"array":"null"}}`),
  null
]

const simple = fc.constantFrom("string", "number", "integer", "boolean", "null", "bigint", "bytes", "json", "none")
const { shape } = fc.letrec<{ shape: unknown }>((tie) => ({
  shape: fc.oneof(
    { maxDepth: 4 },
    simple,
    fc.oneof(name, fc.integer(), fc.boolean()).map((literal) => ({ literal })),
    fc.integer({ min: 0, max: 3 }).map((up) => ({ up })),
    tie("shape").map((array) => ({ array })),
    fc.array(tie("shape"), { maxLength: 3 }).map((union) => ({ union })),
    fc.record({ tuple: fc.array(tie("shape"), { maxLength: 3 }), rest: tie("shape"), optional: fc.nat(3) }, { requiredKeys: ["tuple"] }),
    fc.record({
      fields: fc.array(fc.record({ name, type: tie("shape"), optional: fc.constant(true) }, { requiredKeys: ["name", "type"] }), {
        maxLength: 4
      }),
      rest: tie("shape")
    }, { requiredKeys: ["fields"] })
  )
}))

const isReadable = (shape: unknown) => Result.isSuccess(readShape(shape))
// One shape that cannot be read ends the connection.
const readable = fc.oneof({ weight: 3, arbitrary: shape.filter(isReadable) }, fc.constantFrom(...costly.filter(isReadable)))
const any = fc.oneof({ weight: 4, arbitrary: shape }, fc.constantFrom(...costly))
const shapes = (part: fc.Arbitrary<unknown>) =>
  fc.record(
    {
      stream: fc.boolean(),
      payload: fc.oneof({ weight: 3, arbitrary: fc.constant("null") }, part),
      success: part,
      error: fc.oneof({ weight: 3, arbitrary: fc.constant({ union: [] }) }, part),
      upload: fc.record({ item: part, error: part })
    },
    { requiredKeys: ["stream", "payload", "success", "error"] }
  )

/** A method as a hostile server tells of it. */
export interface ToldMethod {
  readonly name: string
  readonly fingerprint: string
  readonly shapes?: unknown
}

/** Methods, some by the names that its caller knows. */
export const methodsTold = (known: ReadonlyArray<string>): fc.Arbitrary<ReadonlyArray<ToldMethod>> =>
  fc.array(
    fc.record({
      name: fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...known) }, name),
      fingerprint: fc.constantFrom("", "0".repeat(32)),
      shapes: fc.oneof({ weight: 40, arbitrary: shapes(readable) }, { weight: 2, arbitrary: shapes(any) }, fc.constantFrom(...costly))
    }, { requiredKeys: ["name", "fingerprint"] }),
    { maxLength: 5 }
  )

/** A name that a domain may announce a service by, or not. */
export const announcedName = fc.constantFrom(
  "fuzzed",
  "ghost",
  "a@b",
  "x".repeat(64),
  "x".repeat(65),
  "a.b",
  "-",
  "any",
  "__proto__",
  "constructor"
)
