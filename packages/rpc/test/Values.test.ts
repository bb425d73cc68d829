/** What becomes of values that a call's schemas hardly take, over an engine. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { pair, pairOf } from "./support/pair.ts"

interface Tree {
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({ children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)) })
const Trees = RpcGroup.make(
  Rpc.make("Count", { payload: { tree: Tree }, success: Schema.Int }),
  Rpc.make("Grow", { payload: { depth: Schema.Int }, success: Tree })
)
/** Another version, so that its calls travel as JSON. */
const OtherTrees = RpcGroup.make(
  Rpc.make("Count", { payload: { tree: Tree, note: Schema.optionalKey(Schema.String) }, success: Schema.Int }),
  Rpc.make("Grow", { payload: { depth: Schema.Int, note: Schema.optionalKey(Schema.String) }, success: Tree })
)

const grown = (depth: number): Tree => Array.from({ length: depth }).reduce<Tree>((tree) => ({ children: [tree] }), { children: [] })
const TreesLive = Trees.toLayer({ Count: () => Effect.succeed(1), Grow: ({ depth }) => Effect.succeed(grown(depth)) }).pipe(
  // The defects are meant: their logs would only hide others.
  Layer.provideMerge(Logger.layer([]))
)

const messageOf = (exit: Exit.Exit<unknown, unknown>): string => (Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no failure")

describe("Values", () => {
  it.live("what the handler of a method without a value gives is dropped, as over Effect's own RPC", () =>
    Effect.gen(function*() {
      const Quiet = RpcGroup.make(Rpc.make("Quiet"))
      const Other = RpcGroup.make(Rpc.make("Quiet", { error: Schema.String }))
      const give: () => void = () => 5
      const live = Quiet.toLayer({ Quiet: () => Effect.sync(give) })
      const same = yield* Effect.provide(pair(Quiet), live)
      assert.isUndefined(yield* same.client.Quiet())
      const other = yield* Effect.provide(pairOf(Quiet, Other), live)
      assert.isUndefined(yield* other.client.Quiet())
    }).pipe(Effect.scoped))

  it.live("a payload that nests too deep is the caller's defect, which names method and field, in either codec", () =>
    Effect.gen(function*() {
      for (const { client } of [yield* pair(Trees), yield* pairOf(Trees, OtherTrees)]) {
        for (const depth of [1000, 100_000]) {
          const message = messageOf(yield* Effect.exit(client.Count({ tree: grown(depth) })))
          assert.include(message, "the payload of Count")
          assert.match(message, /nest/)
          assert.notInclude(message, "adapter")
        }
        const message = messageOf(yield* Effect.exit(client.Grow({ depth: 0.5 })))
        assert.match(message, /the payload of Grow does not fit its schema: .*at \["depth"\]/s)
        assert.strictEqual(yield* client.Count({ tree: grown(100) }), 1)
      }
    }).pipe(Effect.scoped, Effect.provide(TreesLive)))

  it.live("a reply that nests too deep ends its call alone, and says so", () =>
    Effect.gen(function*() {
      for (const { client } of [yield* pair(Trees), yield* pairOf(Trees, OtherTrees)]) {
        for (const depth of [1000, 100_000]) {
          const message = messageOf(yield* Effect.exit(client.Grow({ depth })))
          assert.match(message, /the reply cannot be encoded: expected values (nested at most|that nest less)/)
        }
        assert.deepStrictEqual(yield* client.Grow({ depth: 100 }), grown(100))
      }
    }).pipe(Effect.scoped, Effect.provide(TreesLive)))
})
