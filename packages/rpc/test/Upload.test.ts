import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, PrimaryKey, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { methodsOf } from "../src/Contract.ts"
import { pair, pairOf } from "./support/pair.ts"

const Bytes = RpcSchema.Stream(Schema.Uint8Array, Schema.Never)

describe("A payload with a stream", () => {
  const Range = Schema.Struct({ from: Schema.Int, to: Schema.Int, data: Bytes }).check(
    Schema.makeFilter(({ from, to }) => from <= to || "from is after to")
  )
  const Checked = RpcGroup.make(
    Rpc.make("Keyed", { payload: { id: Schema.String, data: Bytes }, success: Schema.String, primaryKey: ({ id }) => id }),
    Rpc.make("Between", { payload: Range, success: Schema.Int })
  )
  const CheckedLive = Checked.toLayer({
    Keyed: (payload) =>
      Effect.map(
        Stream.runCount(payload.data),
        (count) => `${PrimaryKey.isPrimaryKey(payload) ? PrimaryKey.value(payload) : "none"} ${count}`
      ),
    Between: ({ data, from, to }) => Effect.map(Stream.runCount(data), (count) => count + to - from)
  })

  it.live("may be a class or have checks, which hold on both sides", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Checked)
      const data = Stream.make(new Uint8Array(1), new Uint8Array(2))
      assert.strictEqual(yield* client.Keyed({ id: "a", data }), "a 2")
      assert.strictEqual(yield* client.Between({ from: 1, to: 4, data }), 5)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(client.Between({ from: 4, to: 1, data }))))
      const Loose = RpcGroup.make(
        Rpc.make("Between", { payload: { from: Schema.Int, to: Schema.Int, data: Bytes }, success: Schema.Int })
      )
      const loose = yield* pairOf(Checked, Loose)
      const error = yield* Effect.flip(loose.client.Between({ from: 4, to: 1, data }))
      assert.deepInclude(error.reason, { _tag: "BadPayload" })
      assert.include(error.message, "from is after to")
      assert.strictEqual(yield* loose.client.Between({ from: 1, to: 1, data }), 2)
    }).pipe(Effect.scoped, Effect.provide(CheckedLive)))
})

describe("Versions of a method with a stream in its payload", () => {
  const versionsOf = <A extends Rpc.Any>(rpc: A) => RpcGroup.make(rpc)
  const One = versionsOf(
    Rpc.make("List", { payload: { items: RpcSchema.Stream(Schema.Struct({ id: Schema.Int }), Schema.Never) }, success: Schema.Int })
  )
  const serve = One.toLayer({ List: ({ items }) => Stream.runFold(items, () => 0, (sum, { id }) => sum + id) })

  it.live("that differ in what may be left out talk in JSON", () =>
    Effect.gen(function*() {
      const Item = Schema.Struct({ id: Schema.Int, name: Schema.optionalKey(Schema.String) })
      const Two = versionsOf(Rpc.make("List", { payload: { items: RpcSchema.Stream(Item, Schema.Never) }, success: Schema.Int }))
      const { client } = yield* pairOf(One, Two)
      assert.strictEqual(yield* client.List({ items: Stream.make({ id: 1, name: "a" }, { id: 2 }) }), 3)
    }).pipe(Effect.scoped, Effect.provide(serve)))

  it.live("of which one has none are refused before the call", () =>
    Effect.gen(function*() {
      const Two = versionsOf(Rpc.make("List", { success: Schema.Int }))
      const { client } = yield* pairOf(One, Two)
      assert.strictEqual((yield* Effect.flip(client.List())).reason._tag, "IncompatibleSchema")
    }).pipe(Effect.scoped, Effect.provide(serve)))
})

describe("A definition", () => {
  it("with two streams in its payload is refused, with the reason", () => {
    const Two = RpcGroup.make(Rpc.make("Two", { payload: { left: Bytes, right: Bytes } }))
    assert.throws(() => methodsOf(Two), "the method Two cannot be called over a vchan: its payload has more than one stream: left, right")
  })

  it("with a stream deeper in its payload is refused, with the reason", () => {
    const fields = [{ deep: Schema.Struct({ data: Bytes }) }, { maybe: Schema.optionalKey(Bytes) }, { many: Schema.Array(Bytes) }]
    for (const payload of fields) {
      assert.throws(() => methodsOf(RpcGroup.make(Rpc.make("Deep", { payload }))), "Deep cannot be called over a vchan")
    }
  })
})
