import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Ref, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import { Caller, Deadline, VchanRpcTest } from "../src/index.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", { domid: Schema.Int }) {}

class OnlySeven extends RpcMiddleware.Service<OnlySeven>()("test/OnlySeven", { error: Denied }) {}

const Group = RpcGroup.make(
  Rpc.make("Greet", { success: Schema.String }),
  Rpc.make("Add", { payload: { amount: Schema.Int }, success: Schema.Int }),
  Rpc.make("Wait"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Secret", { success: Schema.String }).middleware(OnlySeven)
)

class Signs
  extends Context.Service<Signs, { readonly started: Deferred.Deferred<void>; readonly ended: Deferred.Deferred<void> }>()("test/Signs")
{}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const total = yield* Ref.make(0)
  const { ended, started } = yield* Signs
  return Group.of({
    Greet: () => Effect.map(Caller, ({ domid }) => `hello, domain ${domid}`),
    Add: ({ amount }) => Ref.updateAndGet(total, (sum) => sum + amount),
    Wait: () => Effect.ensuring(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), Deferred.succeed(ended, undefined)),
    Count: ({ to }) => Stream.range(1, to),
    Secret: () => Effect.succeed("sesame")
  })
}))

const Guard = Layer.succeed(
  OnlySeven,
  (effect) => Effect.flatMap(Caller, ({ domid }) => domid === 7 ? effect : Effect.fail(new Denied({ domid })))
)

const Live = Layer.merge(Handlers, Guard).pipe(
  Layer.provideMerge(Layer.effect(Signs, Effect.all({ started: Deferred.make<void>(), ended: Deferred.make<void>() })))
)

const test = <A, E>(body: Effect.Effect<A, E, Layer.Success<typeof Live>>) => body.pipe(Effect.provide(Live), Effect.timeout("10 seconds"))

// With a test clock, which must not be in the way.
describe("VchanRpcTest", () => {
  it.effect("gives a client of the handlers around it", () =>
    test(Effect.scoped(Effect.gen(function*() {
      const client = yield* VchanRpcTest.makeClient(Group)
      assert.strictEqual(yield* client.Greet(), "hello, domain 2")
      assert.deepStrictEqual(yield* Stream.runCollect(client.Count({ to: 3 })), [1, 2, 3])
    }))))

  it.effect("plays the caller that it is told, and several of them on one state", () =>
    test(Effect.scoped(Effect.gen(function*() {
      const seven = yield* VchanRpcTest.makeClient(Group, { caller: 7 })
      const nine = yield* VchanRpcTest.makeClient(Group, { caller: 9 })
      assert.strictEqual(yield* seven.Secret(), "sesame")
      assert.deepStrictEqual(yield* Effect.flip(nine.Secret()), new Denied({ domid: 9 }))
      assert.strictEqual(yield* seven.Add({ amount: 1 }), 1)
      assert.strictEqual(yield* nine.Add({ amount: 2 }), 3)
    }))))

  it.effect("holds the limits and deadlines that it is told", () =>
    test(Effect.scoped(Effect.gen(function*() {
      const client = yield* VchanRpcTest.makeClient(Group, { server: { maxCalls: 1 } })
      const { started } = yield* Signs
      yield* Effect.forkChild(client.Wait())
      yield* Deferred.await(started)
      assert.strictEqual((yield* Effect.flip(client.Greet())).reason._tag, "TooManyCalls")
      const other = yield* VchanRpcTest.makeClient(Group)
      const late = Effect.flip(Deadline.within(other.Wait(), "5 millis"))
      assert.strictEqual((yield* late).reason._tag, "DeadlineExceeded")
    }))))

  it.effect("interrupts the handlers that still run when the Scope ends", () =>
    test(Effect.gen(function*() {
      const { ended, started } = yield* Signs
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* VchanRpcTest.makeClient(Group)
        yield* Effect.forkChild(client.Wait())
        yield* Deferred.await(started)
      }))
      assert.isTrue(yield* Deferred.isDone(ended))
    })))
})
