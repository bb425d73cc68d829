import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, Schema, type Scope, Stream } from "effect"
import { Headers } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware, RpcTest } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { VchanRpcError } from "../src/RpcError.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { until } from "./support/rawPeer.ts"

class Expired extends Schema.TaggedError<Expired>()("Expired", { token: Schema.String }) {}
class NoToken extends Schema.TaggedError<NoToken>()("NoToken", {}) {}

/** Sends a token, and a new one where the first has expired. */
class Auth extends RpcMiddleware.Service<Auth, { clientError: NoToken }>()("test/Auth", { error: Expired, requiredForClient: true }) {}
/** Notes the calls. */
class Noted extends RpcMiddleware.Service<Noted>()("test/Noted") {}

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }).middleware(Noted).middleware(Auth),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }).middleware(Auth),
  Rpc.make("Wait").middleware(Auth),
  Rpc.make("Plain", { success: Schema.String })
)

class State extends Context.Service<State, {
  readonly served: Array<string>
  readonly noted: Array<string>
  token: string | undefined
  running: number
}>()("test/State") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const state = yield* State
  return Group.of({
    Say: ({ text }) => Effect.succeed(text),
    Count: ({ to }) => Stream.range(1, to),
    Wait: () => Effect.acquireUseRelease(Effect.sync(() => state.running++), () => Effect.never, () => Effect.sync(() => state.running--)),
    Plain: () => Effect.succeed("plain")
  })
}))

const Servers = Layer.mergeAll(
  Layer.effect(
    Auth,
    Effect.map(State, ({ served }) => (effect, { headers }) => {
      const token = headers["token"] ?? "none"
      served.push(token)
      return token === "old" ? Effect.fail(new Expired({ token })) : effect
    })
  ),
  Layer.succeed(Noted, (effect) => effect)
)

const Clients = Layer.merge(
  RpcMiddleware.layerClient(
    Auth,
    ({ next, request }) =>
      Effect.flatMap(State, (state) => {
        const attempt = Effect.gen(function*() {
          if (state.token === undefined) return yield* new NoToken()
          return yield* next({ ...request, headers: Headers.set(request.headers, "token", state.token) })
        })
        return Effect.catchIf(attempt, (error) => error instanceof Expired, () => {
          state.token = "new"
          return attempt
        })
      })
  ),
  RpcMiddleware.layerClient(Noted, ({ next, request }) =>
    Effect.flatMap(State, ({ noted }) =>
      Effect.suspend(() => {
        noted.push(`${request.tag} ${request.headers["token"]}`)
        return next(request)
      })))
)

const Live = Layer.mergeAll(Handlers, Servers, Clients).pipe(
  Layer.provideMerge(Layer.sync(State, () => ({ served: [], noted: [], token: "valid", running: 0 }))),
  Layer.provideMerge(Logger.layer([]))
)

describe("A middleware's client half", () => {
  it.live("changes what is sent, the last one of the Rpc first", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const { noted, served } = yield* State
      assert.strictEqual(yield* client.Say({ text: "hi" }), "hi")
      assert.deepStrictEqual([noted, served], [["Say valid"], ["valid"]])
      assert.strictEqual(yield* client.Plain(), "plain")
      assert.deepStrictEqual(served.length, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("sees the headers of the call and of the fiber, and may take them away", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const { noted, served } = yield* State
      yield* client.Say({ text: "hi" }, { headers: { token: "mine" } }).pipe(RpcClient.withHeaders({ token: "ours" }))
      assert.deepStrictEqual([noted, served], [["Say valid"], ["valid"]])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("fails its caller with its own error, and nothing is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const state = yield* State
      state.token = undefined
      assert.instanceOf(yield* Effect.flip(client.Say({ text: "hi" })), NoToken)
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(client.Count({ to: 3 }))), NoToken)
      assert.deepStrictEqual(state.served, [])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("sees the errors of the server's half, and may call again", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const state = yield* State
      state.token = "old"
      assert.strictEqual(yield* client.Say({ text: "hi" }), "hi")
      assert.deepStrictEqual(state.served, ["old", "new"])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("runs around the opening of a stream, whose errors its consumer gets", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const state = yield* State
      assert.deepStrictEqual([...yield* Stream.runCollect(client.Count({ to: 3 }))], [1, 2, 3])
      state.token = "old"
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(client.Count({ to: 3 }))), Expired)
      assert.deepStrictEqual(state.served, ["valid", "old"])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("runs around discarded calls, and lets interruption through", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const state = yield* State
      yield* client.Say({ text: "hi" }, { discard: true })
      assert.deepStrictEqual(state.served, ["valid"])
      const waits = yield* Effect.forkChild(client.Wait())
      yield* until(() => state.running === 1 || undefined)
      yield* Fiber.interrupt(waits)
      yield* until(() => state.running === 0 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("does for the same group what it does over Effect's own test transport", () =>
    Effect.gen(function*() {
      const state = yield* State
      const ours = (yield* pair(Group)).client
      const theirs = yield* RpcTest.makeClient(Group)
      for (const client of [ours, theirs]) {
        state.token = "valid"
        state.served.length = 0
        state.noted.length = 0
        const said: string = yield* Effect.catchIf(
          client.Say({ text: "hi" }, { headers: { token: "mine" } }),
          (error) => error instanceof VchanRpcError,
          Effect.die
        )
        assert.strictEqual(said, "hi")
        assert.deepStrictEqual([state.noted, state.served], [["Say valid"], ["valid"]])
        state.token = undefined
        assert.instanceOf(yield* Effect.flip(client.Say({ text: "hi" })), NoToken)
      }
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that is required and not there is asked for by the types, and refused without them", () =>
    Effect.gen(function*() {
      const { client: end } = memoryVchans()
      const asked = clientOver(Group, end, { service: "test", helloTimeout: 10 })
      // @ts-expect-error: the Auth middleware's client half is missing
      const missing: Effect.Effect<unknown, unknown, Scope.Scope> = asked
      assert.isDefined(missing)
    }))
})
