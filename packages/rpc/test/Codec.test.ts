import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { binary, generated, interpreted, json } from "../src/Codec.ts"
import type { PlainSchema } from "../src/Plan.ts"

class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { why: Schema.String }) {}

const Everything = Schema.Struct({
  text: Schema.String,
  count: Schema.Int,
  ratio: Schema.Number,
  yes: Schema.Boolean,
  bytes: Schema.Uint8Array,
  when: Schema.Date,
  maybe: Schema.optionalKey(Schema.String),
  list: Schema.Array(Schema.Union([Schema.Literal("a"), Schema.Int]))
})

const value = {
  text: "grüße",
  count: 42,
  ratio: 0.5,
  yes: true,
  bytes: Uint8Array.from([1, 2, 3]),
  when: new Date(1000),
  list: ["a" as const, 7]
}

const kinds = [
  ["generated", (schema: PlainSchema) => binary(schema, {}, generated)],
  ["interpreted", (schema: PlainSchema) => binary(schema, {}, interpreted)],
  ["json", (schema: PlainSchema) => json(schema, {})]
] as const

describe("Codec", () => {
  for (const [name, make] of kinds) {
    it(`${name}: what is encoded is decoded`, () => {
      const codec = make(Everything)
      const bytes = Result.getOrThrow(codec.encode(value)).slice()
      expect(Result.getOrThrow(codec.decode(bytes))).toEqual(value)
    })

    it(`${name}: a typed error comes back as its class`, () => {
      const codec = make(Wrong)
      const bytes = Result.getOrThrow(codec.encode(new Wrong({ why: "so" }))).slice()
      expect(Result.getOrThrow(codec.decode(bytes))).toBeInstanceOf(Wrong)
    })

    it(`${name}: a value the schema refuses fails with a reason`, () => {
      expect(Result.isFailure(make(Schema.Int).encode("no number"))).toBe(true)
    })

    it(`${name}: any bytes give a value or a reason, and spoil nothing`, () => {
      const codec = make(Everything)
      const good = Result.getOrThrow(codec.encode(value)).slice()
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
          codec.decode(bytes)
          expect(Result.getOrThrow(codec.decode(good))).toEqual(value)
        })
      )
    })

    it(`${name}: bytes cut short or changed in one place give a value or a reason, and spoil nothing`, () => {
      const codec = make(Everything)
      const good = Result.getOrThrow(codec.encode(value)).slice()
      for (let at = 0; at < good.length; at++) {
        codec.decode(good.subarray(0, at))
        const changed = good.slice()
        changed[at] = (changed[at] ?? 0) ^ 0xFF
        codec.decode(changed)
        expect(Result.getOrThrow(codec.decode(good))).toEqual(value)
      }
    })

    it(`${name}: a void takes any value, and gives undefined, as over Effect's own RPC`, () => {
      const codec = make(Schema.Void)
      for (const value of [undefined, 5, "text", Symbol("a"), { a: 5 }]) {
        expect(codec.decode(Result.getOrThrow(codec.encode(value)).slice())).toEqual(Result.succeed(undefined))
      }
    })

    it(`${name}: two values where one is due are refused, where they are told apart`, () => {
      const codec = make(Schema.Int)
      const one = Result.getOrThrow(codec.encode(1)).slice()
      expect(Result.isFailure(codec.decode(Uint8Array.from([...one, ...one])))).toBe(name !== "json")
      expect(Result.getOrThrow(codec.decode(one))).toBe(1)
    })
  }

  it("what is decoded keeps nothing of the bytes", () => {
    const codec = binary(Schema.Uint8Array, {})
    const bytes = Result.getOrThrow(codec.encode(Uint8Array.from([1, 2, 3]))).slice()
    const decoded = Result.getOrThrow(codec.decode(bytes))
    bytes.fill(0)
    expect(decoded).toEqual(Uint8Array.from([1, 2, 3]))
  })

  it("a reason is given, too, where a schema nests so far that the stack ends before its values do", () => {
    const within = (
      schema: PlainSchema,
      times: number
    ): PlainSchema => (times === 0 ? schema : Schema.Struct({ a: within(schema, times - 1) }))
    const Far: PlainSchema = Schema.Struct({
      far: within(Schema.Struct({ next: Schema.optionalKey(Schema.suspend((): PlainSchema => Far)) }), 58)
    })
    for (const codec of [binary(Far, {}, generated), binary(Far, {}, interpreted)]) {
      const result = codec.decode(Buffer.from(`${"01".repeat(1000)}00`, "hex"))
      expect(Result.isFailure(result) && result.failure).toMatch(/^expected values [^]*nest[^]*\["far"\]\["a"\]/)
      expect(Result.isSuccess(codec.decode(Buffer.from("010100", "hex")))).toBe(true)
    }
  })

  it("a reason is short whatever the peer sent", () => {
    const reason = json(Schema.Int, {}).decode(new TextEncoder().encode(JSON.stringify("x".repeat(100_000))))
    expect(Result.isFailure(reason) && reason.failure.length <= 1001).toBe(true)
  })
})
