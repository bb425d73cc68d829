import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, SchemaGetter, type Scope, Stream } from "effect"
import { Rpc, RpcGroup, RpcMiddleware, RpcSchema } from "effect/rpc"
import * as VchanRpcClient from "../src/VchanRpcClient.ts"
import { pair, pairOf } from "./support/pair.ts"
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

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
class Careless extends RpcMiddleware.Service<Careless>()("test/Careless") {}
class Closed extends RpcMiddleware.Service<Closed>()("test/Closed", { error: Denied }) {}

const Throwing = RpcGroup.make(
  Rpc.make("Careless").middleware(Careless),
  Rpc.make("Denied").middleware(Closed),
  Rpc.make("DeniedStream", { success: Schema.Int, stream: true }).middleware(Closed),
  Rpc.make("Fine", { success: Schema.String })
)
const ThrowingLive = Layer.mergeAll(
  Throwing.toLayer({
    Careless: () => Effect.void,
    Denied: (): Effect.Effect<void> => {
      throw new Error("a secret")
    },
    DeniedStream: (): Stream.Stream<number> => {
      throw new Error("a secret")
    },
    Fine: () => Effect.succeed("fine")
  }),
  Layer.succeed(
    Careless,
    Careless.of(() => {
      throw new Error("careless")
    })
  ),
  Layer.succeed(Closed, Closed.of(() => Effect.fail(new Denied()))),
  Logger.layer([])
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

  it.live("a middleware that throws is a defect of its call, and one that denies hides what the handler threw", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Throwing)
      for (const options of [{}, { discard: true }]) {
        assert.include(String(yield* Effect.exit(client.Careless(undefined, options))), "careless")
        assert.instanceOf(yield* Effect.flip(client.Denied(undefined, options)), Denied)
      }
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(client.DeniedStream())), Denied)
      assert.strictEqual(yield* client.Fine(), "fine")
    }).pipe(Effect.scoped, Effect.provide(ThrowingLive)))

  it.live("a transformation that takes time fails its calls alone", () =>
    Effect.gen(function*() {
      const Slow = Schema.String.pipe(Schema.decodeTo(Schema.String, {
        decode: SchemaGetter.transformEffect((text: string) => Effect.delay(Effect.succeed(text), 1)),
        encode: SchemaGetter.passthrough()
      }))
      const Group = RpcGroup.make(Rpc.make("Slow", { payload: Slow }), Rpc.make("Fine", { success: Schema.String }))
      const live = Group.toLayer({ Slow: () => Effect.void, Fine: () => Effect.succeed("fine") })
      const { client } = yield* Effect.provide(pair(Group), live)
      assert.strictEqual((yield* Effect.flip(client.Slow("x"))).reason._tag, "BadPayload")
      assert.strictEqual(yield* client.Fine(), "fine")
    }).pipe(Effect.scoped))

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

describe("What a definition is annotated with", () => {
  const Annotated = RpcGroup.make(
    Rpc.make("Exact", { payload: Schema.Struct({ a: Schema.Int }), success: Schema.Int }).annotate(Rpc.ParseOptions, {
      onExcessProperty: "error"
    }),
    Rpc.make("Coded", { defect: Schema.Unknown })
  )
  const Loose = RpcGroup.make(
    Rpc.make("Exact", { payload: Schema.Struct({ a: Schema.Int, b: Schema.optionalKey(Schema.Int) }), success: Schema.Int })
  )
  const AnnotatedLive = Annotated.toLayer({
    Exact: ({ a }) => Effect.succeed(a),
    Coded: () => Effect.die({ code: 7 })
  }).pipe(Layer.provideMerge(Logger.layer([])))

  it.live("Rpc.ParseOptions holds for what comes", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(Annotated, Loose)
      assert.strictEqual(yield* client.Exact({ a: 1 }), 1)
      assert.strictEqual((yield* Effect.flip(client.Exact({ a: 1, b: 2 }))).reason._tag, "BadPayload")
    }).pipe(Effect.scoped, Effect.provide(AnnotatedLive)))

  it.live("a defect's schema says what is told of it", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Annotated)
      const exit = yield* Effect.exit(client.Coded())
      assert.deepStrictEqual(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, { code: 7 })
    }).pipe(Effect.scoped, Effect.provide(AnnotatedLive)))
})

describe("A group that cannot be served", () => {
  const Functions = RpcGroup.make(Rpc.make("Take", { payload: Schema.declare((value) => typeof value === "function") }))
  class Key extends Context.Service<Key, string>()("test/Key") {}
  const Encrypted = RpcGroup.make(
    Rpc.make("Open", {
      payload: Schema.String.pipe(Schema.decodeTo(Schema.String, {
        decode: SchemaGetter.transformEffect((text: string) => Effect.map(Key, (key) => key + text)),
        encode: SchemaGetter.passthrough()
      }))
    })
  )

  it.live("for a schema without a codec is a defect that names the method", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(pair(Functions))
      assert.include(String(exit), "the method Take cannot be called over a vchan")
    }).pipe(Effect.scoped, Effect.provide(Functions.toLayer({ Take: () => Effect.void }))))

  it.live("for a method without a handler does not compile, and is a defect that names the method", () =>
    Effect.gen(function*() {
      // @ts-expect-error nobody handles Open
      const made: Effect.Effect<unknown, unknown, Scope.Scope> = pair(RpcGroup.make(Rpc.make("Open")))
      assert.include(String(yield* Effect.exit(made)), "the method Open cannot be called over a vchan: it has no handler")
    }).pipe(Effect.scoped))

  it("for schemas that need services does not compile", () => {
    // @ts-expect-error the payload's codec needs Key
    assert.isDefined(() => VchanRpcClient.make(Encrypted, { domain: 1, service: "test" }))
  })
})
