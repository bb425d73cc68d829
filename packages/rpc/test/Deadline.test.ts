import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Logger, Option, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { encodeEnvelope } from "../src/Envelope.ts"
import { FrameType } from "../src/Frame.ts"
import { Deadline, type VchanRpcError } from "../src/index.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Wait"),
  Rpc.make("Short").annotate(Deadline.Timeout, "20 millis"),
  Rpc.make("Left", { success: Schema.Option(Schema.Duration) }),
  Rpc.make("Ticks", { success: Schema.Int, stream: true }),
  Rpc.make("Stubborn"),
  Rpc.make("Onward")
)
const methods = methodsOf(Group)
const nothing = Result.getOrThrow(methods[1]?.binary.payload.encode(undefined) ?? Result.fail("none")).slice()

class Log extends Context.Service<Log, {
  running: number
  started: number
  finished: number
  readonly gate: Deferred.Deferred<void>
  onward: Effect.Effect<unknown, unknown>
}>()("test/Log") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  const wait = Effect.acquireRelease(
    Effect.sync(() => {
      log.running++
      log.started++
    }),
    () => Effect.sync(() => log.running--)
  ).pipe(Effect.andThen(Effect.never))
  return Group.of({
    Say: ({ text }) => Effect.succeed(text),
    Wait: () => wait,
    Short: () => wait,
    Left: () => Deadline.remaining,
    Ticks: () => Stream.concat(Stream.make(1, 2), Stream.fromEffect(wait)),
    Stubborn: () =>
      Rpc.uninterruptible(Effect.andThen(
        Deferred.await(log.gate),
        Effect.sync(() => {
          log.finished++
        })
      )),
    Onward: () => Effect.orDie(Effect.asVoid(log.onward))
  })
}))

const Live = Handlers.pipe(
  Layer.provideMerge(Layer.sync(Log, () => ({
    running: 0,
    started: 0,
    finished: 0,
    gate: Deferred.makeUnsafe<void>(),
    onward: Effect.void
  }))),
  Layer.provideMerge(Logger.layer([]))
)

const exceeded = <A, R>(effect: Effect.Effect<A, VchanRpcError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => {
    assert.strictEqual(reason._tag, "DeadlineExceeded")
    return reason._tag === "DeadlineExceeded" ? reason.allowedMillis : 0
  })

describe("A deadline", () => {
  it.live("fails the call with DeadlineExceeded and interrupts its handler, and no other", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const other = yield* Effect.forkChild(client.Wait())
      const error = yield* Effect.flip(Deadline.within(client.Wait(), 30))
      assert.match(error.message, /^test\.Wait with domain 1: the call was not over in the \d+ ms it had$/)
      yield* until(() => log.running === 1 || undefined)
      assert.strictEqual(yield* client.Say({ text: "on" }).pipe(Deadline.within("1 minute")), "on")
      yield* Fiber.interrupt(other)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that is over already fails the call before anything is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      yield* exceeded(Deadline.within(client.Wait(), 0))
      yield* Effect.flip(Effect.andThen(Effect.sleep(5), client.Wait()).pipe(Deadline.within(1)))
      yield* turns(5)
      assert.strictEqual((yield* Log).started, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("within another is the shorter of both, and ends with its effect", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.isAtMost(yield* exceeded(client.Wait().pipe(Deadline.within("1 minute"), Deadline.within(20))), 20)
      assert.isAtMost(yield* exceeded(client.Wait().pipe(Deadline.within(20), Deadline.within("1 minute"))), 20)
      assert.isTrue(Option.isNone(yield* Deadline.remaining))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("can be a method's own, by annotation", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.strictEqual(yield* exceeded(client.Short()), 20)
      assert.isAtMost(yield* exceeded(Deadline.within(client.Short(), 5)), 5)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is known to the handler", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.isTrue(Option.isNone(yield* client.Left()))
      const left = Option.getOrThrow(yield* Deadline.within(client.Left(), "5 seconds"))
      assert.isAtMost(Duration.toMillis(left), 5000)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("goes on with the calls that the handler makes", () =>
    Effect.gen(function*() {
      const front = yield* pair(Group)
      const back = yield* pair(Group)
      const log = yield* Log
      const seen: Array<number> = []
      log.onward = Effect.tap(back.client.Left(), (left) => {
        seen.push(Duration.toMillis(Option.getOrThrow(left)))
        return back.client.Wait()
      })
      yield* exceeded(Deadline.within(front.client.Onward(), 50))
      yield* until(() => log.running === 0 || undefined)
      assert.isAtMost(seen[0] ?? Infinity, 50)
      assert.strictEqual(log.started, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("ends a stream after the items that came, and its producer", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const seen: Array<number> = []
      yield* exceeded(Deadline.within(Stream.runForEach(client.Ticks(), (item) => Effect.sync(() => seen.push(item))), 50))
      assert.deepStrictEqual(seen, [1, 2])
      const log = yield* Log
      yield* until(() => log.running === 0 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("does not wait for a handler that is uninterruptible, which finishes", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      yield* exceeded(Deadline.within(client.Stubborn(), 20))
      yield* Deferred.succeed(log.gate, undefined)
      yield* until(() => log.finished === 1 || undefined)
      assert.strictEqual(yield* client.Say({ text: "on" }), "on")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("can be set by the server, for handlers that would run too long", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxTime: 20 } })
      assert.strictEqual(yield* exceeded(client.Wait()), 20)
      assert.strictEqual((yield* Log).running, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("beyond what timers can wait is none", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxTime: "100 days" } })
      assert.isTrue(Option.isNone(yield* Deadline.within(client.Left(), "100 days")))
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("On the wire a deadline", () => {
  const serve = Effect.fnUntraced(function*() {
    const { client, server } = memoryVchans()
    const handler = yield* serveGroup(Group, { service: "test" })
    yield* Effect.forkScoped(Effect.ensuring(handler(server), Effect.sync(() => server.close())))
    const peer = new RawPeer(client)
    peer.hello({ methods })
    yield* peer.typed(FrameType.Hello)
    return peer
  })

  it.live("is the server's to keep: a client that says no more is answered with DeadlineExceeded", () =>
    Effect.gen(function*() {
      const peer = yield* serve()
      peer.envelope(1, 1, encodeEnvelope({ timeout: 20 }), nothing)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), `"DeadlineExceeded","allowedMillis":20`)
      assert.strictEqual((yield* Log).running, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is the client's to keep, too: a server's late reply is dropped, and the connection goes on", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      yield* exceeded(Deadline.within(client.Wait(), 20))
      const { id } = yield* peer.frame(({ flags, type }) => type === FrameType.Request && flags === 2)
      yield* peer.typed(FrameType.Interrupt, id)
      peer.send(FrameType.Success, 1, id, nothing)
      yield* turns(5)
      assert.isUndefined(peer.frames.find(({ type }) => type === FrameType.Goodbye))
      const next = yield* Effect.forkChild(client.Wait())
      const again = yield* peer.frame(({ flags, type }) => type === FrameType.Request && flags === 0)
      peer.send(FrameType.Success, 1, again.id, nothing)
      yield* Fiber.join(next)
    }).pipe(Effect.scoped))

  const violations: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["an empty envelope", new Uint8Array(0), "no bytes"],
    ["an envelope cut short", Uint8Array.from([1, 0]), "cut short"],
    ["an envelope of a later version", Uint8Array.from([0xC1, 1, 0, 0, 0]), "unknown fields 192"]
  ]
  for (const [name, bytes, detail] of violations) {
    it.live(`that is ${name} closes the connection`, () =>
      Effect.gen(function*() {
        const peer = yield* serve()
        peer.envelope(1, 1, bytes, new Uint8Array(0))
        assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), detail)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }
})
