import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { pair } from "./support/pair.ts"
import { until } from "./support/rawPeer.ts"

class Tag extends Context.Service<Tag, string>()("test/Tag") {}
class Log extends Context.Service<Log, { aborts: Array<boolean>; running: number; readonly gate: Deferred.Deferred<void> }>()("test/Log") {}

const Store = RpcGroup.make(
  Rpc.make("Facts", { success: Schema.Struct({ tag: Schema.String, id: Schema.String, client: Schema.Int, annotation: Schema.String }) })
    .annotate(Tag, "annotated"),
  Rpc.make("Wait")
)

const Live = Store.toLayer(Effect.gen(function*() {
  const log = yield* Log
  const watched = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.sync(() => log.running++).pipe(
      Effect.andThen(effect),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          log.running--
          log.aborts.push(
            Exit.isFailure(exit) && exit.cause.reasons.some(({ annotations }) => annotations.has(RpcSchema.ClientAbort.key))
          )
        })
      )
    )
  return Store.of({
    Facts: (_payload, { client, requestId, rpc }) =>
      Effect.succeed({
        tag: rpc._tag,
        id: String(requestId),
        client: client.id,
        annotation: Context.getOrUndefined(rpc.annotations, Tag) ?? "none"
      }),
    Wait: () => watched(Deferred.await(log.gate))
  })
})).pipe(
  Layer.provideMerge(Layer.effect(Log, Effect.map(Deferred.make<void>(), (gate) => ({ aborts: [], running: 0, gate })))),
  Layer.provideMerge(Logger.layer([]))
)

describe("Effect's definitions", () => {
  it.live("a handler is told its request, its client and its definition with annotations", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Store)
      const [one, two] = yield* Effect.all([client.Facts(), client.Facts()])
      assert.deepInclude(one, { tag: "Facts", annotation: "annotated" })
      assert.strictEqual(one.client, two.client)
      assert.notStrictEqual(one.id, two.id)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a handler's interruption tells whether its client was the reason", () =>
    Effect.gen(function*() {
      const { client, serving, vchans } = yield* pair(Store, { server: { grace: 0 } })
      const log = yield* Log
      const aborted = yield* Effect.forkChild(client.Wait())
      yield* until(() => log.running === 1 || undefined)
      yield* Fiber.interrupt(aborted)
      yield* until(() => log.running === 0 || undefined)
      const ended = yield* Effect.forkChild(Effect.exit(client.Wait()))
      yield* until(() => log.running === 1 || undefined)
      yield* Fiber.interrupt(serving)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(ended)))
      assert.deepStrictEqual(log.aborts, [true, false])
      const again = yield* pair(Store)
      const lost = yield* Effect.forkChild(Effect.exit(again.client.Wait()))
      yield* until(() => log.running === 1 || undefined)
      again.vchans.client.close()
      yield* Fiber.join(again.serving)
      assert.deepStrictEqual(log.aborts, [true, false, true])
      yield* Fiber.join(lost)
      vchans.client.close()
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a defect's stack comes where its schema asks for it", () =>
    Effect.gen(function*() {
      const Told = RpcGroup.make(Rpc.make("Die", { defect: Schema.Defect({ includeStack: true }) }))
      const { client } = yield* Effect.provide(pair(Told), Told.toLayer({ Die: () => Effect.die(new Error("dead")) }))
      const exit = yield* Effect.exit(client.Die())
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.include(defect instanceof Error ? defect.stack : "", "Definitions.test")
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))
})
