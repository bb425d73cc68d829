import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcMiddleware, RpcSchema } from "effect/rpc"
import { pair, pairOf } from "./support/pair.ts"
import { until } from "./support/rawPeer.ts"

class User extends Context.Service<User, string>()("test/User") {}
class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
class Login extends RpcMiddleware.Service<Login, { provides: User; requires: Tenant }>()("test/Login") {}
class Region extends RpcMiddleware.Service<Region, { provides: Tenant }>()("test/Region") {}
class Tag extends Context.Service<Tag, string>()("test/Tag") {}
class Log extends Context.Service<Log, { aborts: Array<boolean>; running: number; readonly gate: Deferred.Deferred<void> }>()("test/Log") {}

const Names = RpcGroup.make(Rpc.make("Who", { success: Schema.String }).middleware(Login).middleware(Region)).prefix("names.")
const Store = RpcGroup.make(
  Rpc.make("Get", { payload: { key: Schema.String, at: Schema.Int }, success: Schema.String, primaryKey: ({ at, key }) => `${key}@${at}` }),
  Rpc.make("Facts", { success: Schema.Struct({ tag: Schema.String, id: Schema.String, client: Schema.Int, annotation: Schema.String }) })
    .annotate(Tag, "annotated"),
  Rpc.make("Wait"),
  Rpc.make("List", { success: Schema.Int, stream: true })
)
const Both = Names.merge(Store)

const Live = Layer.mergeAll(
  Names.toLayer({ "names.Who": () => Effect.map(User, (user) => `you are ${user}`) }),
  Store.toLayer(Effect.gen(function*() {
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
      Get: (payload) => Effect.succeed(`${payload.key} of ${payload.at}`),
      Facts: (_payload, { client, requestId, rpc }) =>
        Effect.succeed({
          tag: rpc._tag,
          id: String(requestId),
          client: client.id,
          annotation: Context.getOrUndefined(rpc.annotations, Tag) ?? "none"
        }),
      Wait: () => watched(Deferred.await(log.gate)),
      List: () => Stream.range(1, 3)
    })
  })),
  Layer.succeed(Login, (effect) => Effect.flatMap(Tenant, (tenant) => Effect.provideService(effect, User, `a user of ${tenant}`))),
  Layer.succeed(Region, (effect) => Effect.provideService(effect, Tenant, "the north"))
).pipe(
  Layer.provideMerge(Layer.effect(Log, Effect.map(Deferred.make<void>(), (gate) => ({ aborts: [], running: 0, gate })))),
  Layer.provideMerge(Logger.layer([]))
)

describe("Effect's definitions", () => {
  it.live("several groups go over one connection, merged, and a client may know one of them only", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Both)
      const [who, got, list] = yield* Effect.all([
        client["names.Who"](),
        client.Get({ key: "a", at: 1 }),
        Stream.runCollect(client.List())
      ], { concurrency: 3 })
      assert.deepStrictEqual([who, got, list], ["you are a user of the north", "a of 1", [1, 2, 3]])
      const one = yield* pairOf(Both, Store)
      assert.strictEqual(yield* one.client.Get({ key: "b", at: 2 }), "b of 2")
      const other = yield* pairOf(Both, Names)
      assert.strictEqual(yield* other.client["names.Who"](), "you are a user of the north")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a handler is told its request, its client and its definition with annotations", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Store)
      const [one, two] = yield* Effect.all([client.Facts(), client.Facts()])
      assert.deepInclude(one, { tag: "Facts", annotation: "annotated" })
      assert.strictEqual(one.client, two.client)
      assert.notStrictEqual(one.id, two.id)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("the call option context changes nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Store)
      assert.strictEqual(yield* client.Get({ key: "a", at: 1 }, { context: Context.empty() }), "a of 1")
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
