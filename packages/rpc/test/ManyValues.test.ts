/** What a message costs its reader is bounded by what it may have in it, not by its bytes alone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { binary, type Codec, generated, interpreted, json } from "../src/Codec.ts"
import type { PlainSchema } from "../src/Plan.ts"
import { VchanRpcError } from "../src/RpcError.ts"
import { pair, pairOf } from "./support/pair.ts"

class Wrong extends Schema.TaggedError<Wrong>()("Wrong", {}) {}
interface Tree {
  readonly left?: Tree
  readonly right?: Tree
}
const Tree = Schema.Struct({
  left: Schema.optionalKey(Schema.suspend((): Schema.Codec<Tree> => Tree)),
  right: Schema.optionalKey(Schema.suspend((): Schema.Codec<Tree> => Tree))
})
const full = (depth: number): Tree => (depth === 0 ? {} : { left: full(depth - 1), right: full(depth - 1) })

const many = <A>(value: A, length: number): ReadonlyArray<A> => Array.from({ length }, () => value)
const maxMessage = 64 * 1024
/** As many as a message may have. */
const most = 16 * 1024 + maxMessage / 32

/** Schemas, and how to have so many values in one. Each costs its reader more than its byte. */
const costly: ReadonlyArray<readonly [name: string, schema: PlainSchema, of: (count: number) => unknown]> = [
  ["objects", Schema.Array(Schema.Struct({ a: Schema.optionalKey(Schema.Int) })), (count) => many({}, count)],
  ["lists", Schema.Array(Schema.Array(Schema.Int)), (count) => many([], count)],
  ["errors", Schema.Array(Wrong), (count) => many(new Wrong(), count)],
  ["maps", Schema.Array(Schema.ReadonlyMap(Schema.Int, Schema.Int)), (count) => many(new Map(), count)],
  ["a tuple's rest", Schema.TupleWithRest(Schema.Tuple([Schema.Int]), [Schema.Tuple([])]), (count) => [1, ...many([], count)]],
  [
    "names",
    Schema.Record(Schema.String, Schema.Struct({ a: Schema.optionalKey(Schema.Int) })),
    (count) => Object.fromEntries(many({}, count).map((value, index) => [String(index), value]))
  ],
  ["any JSON", Schema.Json, (count) => many([], count)],
  ["any JSON in a list", Schema.Array(Schema.Json), (count) => many([[]], count / 2)],
  ["a tree", Tree, (count) => full(Math.floor(Math.log2(count)))]
]
const kinds = [
  ["generated", (schema: PlainSchema) => binary(schema, {}, generated)],
  ["interpreted", (schema: PlainSchema) => binary(schema, {}, interpreted)],
  ["json", (schema: PlainSchema) => json(schema, {})]
] as const

const round = (codec: Codec, value: unknown): Result.Result<unknown, string> =>
  codec.decode(Result.getOrThrow(codec.encode(value)).slice(), maxMessage)

describe("Many values in one message", () => {
  for (const [kind, make] of kinds) {
    it(`${kind}: as many as fit are read, and more are refused, whatever they are`, () => {
      for (const [name, schema, of] of costly) {
        const codec = make(schema)
        assert.isTrue(Result.isSuccess(round(codec, of(most / 4))), name)
        const refused = round(codec, of(4 * most))
        assert.include(Result.isFailure(refused) ? refused.failure : "", "fewer values in one message", name)
      }
    })
  }

  it("numbers, texts and the like are bounded by their bytes alone, in the binary codec", () => {
    for (const [schema, value] of [[Schema.Int, 1], [Schema.String, ""], [Schema.NullOr(Schema.Boolean), null]] as const) {
      const codec = binary(Schema.Array<PlainSchema>(schema), {})
      assert.strictEqual(
        Result.getOrThrow(Result.map(round(codec, many(value, 4 * most)), (list) => Array.isArray(list) && list.length)),
        4 * most
      )
    }
  })

  const Lists = RpcGroup.make(
    Rpc.make("Take", { payload: { list: Schema.Array(Schema.Array(Schema.Int)) }, success: Schema.Int }),
    Rpc.make("Give", { payload: { count: Schema.Int }, success: Schema.Array(Schema.Array(Schema.Int)) })
  )
  const OtherLists = RpcGroup.make(
    Rpc.make("Take", {
      payload: { list: Schema.Array(Schema.Array(Schema.Int)), note: Schema.optionalKey(Schema.Int) },
      success: Schema.Int
    }),
    Rpc.make("Give", {
      payload: { count: Schema.Int, note: Schema.optionalKey(Schema.Int) },
      success: Schema.Array(Schema.Array(Schema.Int))
    })
  )
  const ListsLive = Lists.toLayer({
    Take: ({ list }) => Effect.succeed(list.length),
    Give: ({ count }) => Effect.succeed(many([], count))
  })

  it.live("too many fail their call alone, with the reason, in either direction and codec; a larger maxMessage lets them pass", () =>
    Effect.gen(function*() {
      const reasonOf = (error: unknown): VchanRpcError["reason"] => {
        assert.instanceOf(error, VchanRpcError)
        return error.reason
      }
      const limits = { maxMessage: 1024 * 1024 }
      for (const other of [false, true]) {
        const make = (options: { readonly maxMessage: number }) =>
          other ? pairOf(Lists, OtherLists, { server: options, client: options }) : pair(Lists, { server: options, client: options })
        const { client } = yield* make(limits)
        const taken = reasonOf(yield* Effect.flip(client.Take({ list: many([], 100_000) })))
        assert.strictEqual(taken._tag, "BadPayload")
        assert.include(taken.message, "fewer values in one message")
        const given = reasonOf(yield* Effect.flip(client.Give({ count: 100_000 })))
        assert.strictEqual(given._tag, "BadReply")
        assert.include(given.message, "fewer values in one message")
        assert.strictEqual(yield* client.Take({ list: many([], 10_000) }), 10_000)
        const larger = (yield* make({ maxMessage: 4 * 1024 * 1024 })).client
        assert.strictEqual(yield* larger.Take({ list: many([], 100_000) }), 100_000)
        assert.strictEqual((yield* larger.Give({ count: 100_000 })).length, 100_000)
      }
    }).pipe(Effect.scoped, Effect.provide(ListsLive)))
})
