import { assert, describe, it } from "@effect/vitest"
import { PeerGone } from "@vchan/vchan"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema } from "effect"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import { Caller } from "../src/Caller.ts"
import { VchanRpcError } from "../src/RpcError.ts"
import { pair } from "./support/pair.ts"
import { turns, until } from "./support/rawPeer.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}

class Denied extends Schema.TaggedError<Denied>()("Denied", { domid: Schema.Int }) {}

class Trusted extends Context.Service<Trusted, { readonly name: string }>()("test/Trusted") {}

class Guard extends RpcMiddleware.Service<Guard, { provides: Trusted }>()("test/Guard", { error: Denied }) {}

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Find", { payload: { key: Schema.String }, success: Schema.String, error: Missing }),
  Rpc.make("Die", { payload: { how: Schema.Literals(["die", "throw", "bad reply"]) }, success: Schema.Int }),
  Rpc.make("Wait", { payload: { id: Schema.Int } }),
  Rpc.make("Late", { success: Schema.String }),
  Rpc.make("Stop"),
  Rpc.make("Close"),
  Rpc.make("Stubborn"),
  Rpc.make("Big", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array }),
  Rpc.make("Who", { success: Schema.Int }),
  Rpc.make("Name", { success: Schema.String }).middleware(Guard)
)

/** What the handlers did, for a test to look at. */
class Log extends Context.Service<Log, {
  readonly running: Set<number>
  finished: number
  released: number
  close: () => void
  readonly late: Deferred.Deferred<string>
  readonly gate: Deferred.Deferred<void>
}>()("test/Log") {}

const LogLive = Layer.sync(Log, () => ({
  running: new Set<number>(),
  finished: 0,
  released: 0,
  close: () => {},
  late: Deferred.makeUnsafe<string>(),
  gate: Deferred.makeUnsafe<void>()
}))

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  return Group.of({
    Say: ({ text }) => Effect.succeed(text),
    Find: ({ key }) => Effect.fail(new Missing({ key })),
    Die: ({ how }) => {
      if (how === "throw") throw new Error("thrown")
      return how === "die" ? Effect.die(new Error("died")) : Effect.succeed(0.5)
    },
    Wait: ({ id }) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          log.running.add(id)
        }),
        () =>
          Effect.andThen(
            turns(2),
            Effect.sync(() => {
              log.running.delete(id)
              log.released++
            })
          )
      ).pipe(Effect.andThen(Effect.never)),
    Late: () => Effect.succeed(log.late),
    Stop: () => Effect.interrupt,
    Close: () =>
      Effect.andThen(
        Effect.sync(() => {
          log.close()
        }),
        Effect.never
      ),
    Stubborn: () =>
      Rpc.uninterruptible(Effect.andThen(
        Deferred.await(log.gate),
        Effect.sync(() => {
          log.finished++
        })
      )),
    Big: ({ bytes }) => Effect.succeed(new Uint8Array(bytes.length * 2)),
    Who: () => Effect.map(Caller, ({ domid }) => domid),
    Name: () => Effect.map(Trusted, ({ name }) => name)
  })
}))

const GuardLive = Layer.succeed(
  Guard,
  (effect) =>
    Effect.flatMap(
      Caller,
      ({ domid }) => domid === 7 ? Effect.provideService(effect, Trusted, { name: "seven" }) : Effect.fail(new Denied({ domid }))
    )
)

// The defects are meant: their logs would only hide others.
const Live = Layer.mergeAll(Handlers, GuardLive).pipe(Layer.provideMerge(LogLive), Layer.provideMerge(Logger.layer([])))

const reasonOf = (error: unknown): VchanRpcError["reason"] => {
  assert.instanceOf(error, VchanRpcError)
  return error.reason
}

describe("Calls", () => {
  it.live("a call gives what the handler gave", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.strictEqual(yield* client.Say({ text: "hi" }), "hi")
    }).pipe(Effect.provide(Live)))

  it.live("a call works over a ring that gives one byte at a time", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { cut: 1, size: 64 })
      assert.strictEqual(yield* client.Say({ text: "grüße" }), "grüße")
      assert.strictEqual((yield* client.Big({ bytes: new Uint8Array(1000) })).length, 2000)
    }).pipe(Effect.provide(Live)))

  it.live("a typed failure of the handler is the caller's, as its class", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const error = yield* Effect.flip(client.Find({ key: "k" }))
      assert.instanceOf(error, Missing)
      assert.strictEqual(error.key, "k")
    }).pipe(Effect.provide(Live)))

  for (const how of ["die", "throw", "bad reply"] as const) {
    it.live(`a defect of the handler (${how}) ends that call alone, with its message and no stack`, () =>
      Effect.gen(function*() {
        const { client } = yield* pair(Group)
        const exit = yield* Effect.exit(client.Die({ how }))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, Error)
        assert.include(defect.message, { die: "died", throw: "thrown", "bad reply": "the reply cannot be encoded" }[how])
        assert.notInclude(defect.stack ?? "", "ServerEngine")
        assert.strictEqual(yield* client.Say({ text: "still there" }), "still there")
      }).pipe(Effect.provide(Live)))
  }

  it.live("10 000 calls in flight each get their own reply", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxCalls: 16_384 } })
      const texts = Array.from({ length: 10_000 }, (_, index) => `call ${index}`)
      assert.deepStrictEqual(yield* Effect.forEach(texts, (text) => client.Say({ text }), { concurrency: "unbounded" }), texts)
    }).pipe(Effect.provide(Live)))

  it.live("10 000 waiting calls are all ended by their callers' interruption, and their handlers too", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxCalls: 10_000 } })
      const log = yield* Log
      const ids = Array.from({ length: 10_000 }, (_, index) => index)
      const fiber = yield* Effect.forkChild(Effect.forEach(ids, (id) => client.Wait({ id }), { concurrency: "unbounded" }))
      yield* until(() => log.running.size === 10_000 || undefined)
      const refused = yield* Effect.flip(client.Say({ text: "one more" }))
      assert.strictEqual(reasonOf(refused)._tag, "TooManyCalls")
      yield* Fiber.interrupt(fiber)
      yield* until(() => log.running.size === 0 || undefined)
      assert.strictEqual(log.released, 10_000)
      yield* turns(10)
      assert.strictEqual(yield* client.Say({ text: "free again" }), "free again")
    }).pipe(Effect.provide(Live)))

  it.live("an interrupted caller interrupts its handler, and no other", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const one = yield* Effect.forkChild(client.Wait({ id: 1 }))
      const two = yield* Effect.forkChild(client.Wait({ id: 2 }))
      yield* until(() => log.running.size === 2 || undefined)
      yield* Fiber.interrupt(one)
      yield* until(() => log.running.size === 1 || undefined)
      assert.isTrue(log.running.has(2))
      yield* Fiber.interrupt(two)
    }).pipe(Effect.provide(Live)))

  it.live("a caller's timeout ends its handler", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      yield* Effect.flip(Effect.timeout(client.Wait({ id: 1 }), 10))
      yield* until(() => log.released === 1 || undefined)
    }).pipe(Effect.provide(Live)))

  it.live("a handler that is uninterruptible finishes though its caller has gone", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const fiber = yield* Effect.forkChild(client.Stubborn())
      yield* turns(5)
      yield* Fiber.interrupt(fiber)
      yield* turns(5)
      assert.strictEqual(log.finished, 0)
      yield* Deferred.succeed(log.gate, undefined)
      yield* until(() => log.finished === 1 || undefined)
    }).pipe(Effect.provide(Live)))

  it.live("a handler that interrupts itself fails the call, and does not interrupt the caller", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const error = yield* Effect.flip(client.Stop())
      assert.strictEqual(reasonOf(error)._tag, "Interrupted")
      assert.include(error.message, "test.Stop with domain 1")
    }).pipe(Effect.provide(Live)))

  it.live("a handler may give a Deferred, and the reply comes when it is done", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const fiber = yield* Effect.forkChild(client.Late())
      yield* turns(5)
      yield* Deferred.succeed(log.late, "at last")
      assert.strictEqual(yield* Fiber.join(fiber), "at last")
    }).pipe(Effect.provide(Live)))

  it.live("the handler knows its caller's domid", () =>
    Effect.gen(function*() {
      const seven = yield* pair(Group, { clientDomid: 7 })
      const nine = yield* pair(Group, { clientDomid: 9 })
      assert.deepStrictEqual(yield* Effect.all([seven.client.Who(), nine.client.Who()], { concurrency: 2 }), [7, 9])
    }).pipe(Effect.provide(Live)))

  it.live("asking for the caller outside a call is a defect", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.map(Caller, ({ domid }) => domid))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }))

  it.live("a middleware admits by the caller's domid, and its error is typed", () =>
    Effect.gen(function*() {
      const seven = yield* pair(Group, { clientDomid: 7 })
      const nine = yield* pair(Group, { clientDomid: 9 })
      assert.strictEqual(yield* seven.client.Name(), "seven")
      const error = yield* Effect.flip(nine.client.Name())
      assert.instanceOf(error, Denied)
      assert.strictEqual(error.domid, 9)
    }).pipe(Effect.provide(Live)))

  it.live("a payload, and a reply, longer than the other side takes fail that call alone", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxMessage: 4096 }, client: { maxMessage: 4096 } })
      const payload = yield* Effect.flip(client.Big({ bytes: new Uint8Array(5000) }))
      const reply = yield* Effect.flip(client.Big({ bytes: new Uint8Array(3000) }))
      assert.deepInclude(reasonOf(payload), { _tag: "MessageTooLarge", what: "payload", limit: 4096 })
      assert.deepInclude(reasonOf(reply), { _tag: "MessageTooLarge", what: "reply", limit: 4096 })
      assert.strictEqual((yield* client.Big({ bytes: new Uint8Array(1000) })).length, 2000)
    }).pipe(Effect.provide(Live)))

  it.live("a payload that the schema refuses is the caller's defect, and nothing is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const exit = yield* Effect.exit(client.Wait({ id: 0.5 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual((yield* Log).running.size, 0)
    }).pipe(Effect.provide(Live)))
})

describe("The end of a connection", () => {
  it.live("a lost connection fails each call once with ConnectionLost, ends every handler, and later calls fail at once", () =>
    Effect.gen(function*() {
      const { client, serving, vchans } = yield* pair(Group)
      const log = yield* Log
      let failures = 0
      const call = (id: number) => Effect.tapError(client.Wait({ id }), () => Effect.sync(() => failures++))
      const fibers = yield* Effect.forEach([1, 2, 3], (id) => Effect.forkChild(call(id)))
      yield* until(() => log.running.size === 3 || undefined)
      vchans.server.end(new PeerGone())
      vchans.client.end(new PeerGone())
      for (const fiber of fibers) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(reasonOf(error)._tag, "ConnectionLost")
        assert.include(error.message, "test.Wait with domain 1: the connection was lost")
      }
      yield* Fiber.join(serving)
      assert.strictEqual(log.running.size, 0)
      assert.strictEqual(log.released, 3)
      assert.strictEqual(failures, 3)
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Say({ text: "late" })))._tag, "ConnectionLost")
    }).pipe(Effect.provide(Live)))

  it.live("a client's Scope that ends fails its calls, and the server ends their handlers", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const { fiber, vchans } = yield* Effect.scoped(Effect.gen(function*() {
        const { client, vchans } = yield* pair(Group)
        const fiber = yield* Effect.forkDetach(client.Wait({ id: 1 }))
        yield* until(() => log.running.size === 1 || undefined)
        return { fiber, vchans }
      }))
      vchans.client.close()
      assert.strictEqual(reasonOf(yield* Effect.flip(Fiber.join(fiber)))._tag, "ConnectionLost")
      yield* until(() => log.running.size === 0 || undefined)
    }).pipe(Effect.provide(Live)))

  it.live("a server that is ended by the first step of a handler ends that handler too", () =>
    Effect.gen(function*() {
      const { client, serving } = yield* pair(Group, { server: { grace: 0 } })
      const log = yield* Log
      log.close = () => serving.interruptUnsafe()
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Close()))._tag, "Interrupted")
      yield* Fiber.await(serving)
    }).pipe(Effect.provide(Live)))

  it.live("a server that ends interrupts its handlers and tells their callers so", () =>
    Effect.gen(function*() {
      const { client, serving } = yield* pair(Group, { server: { grace: 0 } })
      const log = yield* Log
      const fiber = yield* Effect.forkChild(client.Wait({ id: 1 }))
      yield* until(() => log.running.size === 1 || undefined)
      yield* Fiber.interrupt(serving)
      assert.strictEqual(log.running.size, 0)
      assert.strictEqual(reasonOf(yield* Effect.flip(Fiber.join(fiber)))._tag, "Interrupted")
    }).pipe(Effect.provide(Live)))
})
