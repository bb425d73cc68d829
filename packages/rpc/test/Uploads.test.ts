import { assert, describe, it } from "@effect/vitest"
import { PeerGone } from "@vchan/vchan"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema, RpcTest } from "effect/rpc"
import { maxBody } from "../src/Frame.ts"
import { Deadline, VchanRpcError } from "../src/index.ts"
import { pair, type PairOptions } from "./support/pair.ts"
import { turns, until } from "./support/rawPeer.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { after: Schema.Int }) {}

const kibibyte = 1024
const Bytes = RpcSchema.Stream(Schema.Uint8Array, Schema.Never)
const Numbers = RpcSchema.Stream(Schema.Int, Broken)

const Group = RpcGroup.make(
  Rpc.make("Store", { payload: { name: Schema.String, data: Bytes }, success: Schema.Struct({ name: Schema.String, length: Schema.Int }) }),
  Rpc.make("Sum", { payload: Numbers, success: Schema.Int, error: Broken }),
  Rpc.make("Recover", { payload: { numbers: Numbers }, success: Schema.Int }),
  Rpc.make("Double", { payload: { numbers: Numbers }, success: Schema.Int, error: Broken, stream: true }),
  Rpc.make("First", { payload: { numbers: Numbers, count: Schema.Int }, success: Schema.Array(Schema.Int), error: Broken }),
  Rpc.make("Slow", { payload: { data: Bytes }, success: Schema.Int }),
  Rpc.make("Deaf", { payload: { data: Bytes, leave: Schema.Boolean }, success: Schema.String }),
  Rpc.make("Twice", { payload: { data: Bytes } }),
  Rpc.make("Stubborn", { payload: { data: Bytes }, success: Schema.Int }),
  Rpc.make("Ping", { success: Schema.String })
)

/** What the handlers saw, and when they may go on. */
class Log extends Context.Service<Log, {
  readonly gate: Deferred.Deferred<void>
  taken: number
  open: number
}>()("test/Log") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  const counted = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(Effect.sync(() => log.open++), () => effect, () => Effect.sync(() => log.open--))
  const sum = <E>(numbers: Stream.Stream<number, E>) => Stream.runFold(numbers, () => 0, (total, next) => total + next)
  return Group.of({
    Store: ({ data, name }) =>
      Effect.map(Stream.runFold(data, () => 0, (length, bytes) => length + bytes.length), (length) => ({ name, length })),
    Sum: (numbers) => counted(sum(numbers)),
    Recover: ({ numbers }) => Effect.catchTag(sum(numbers), "Broken", ({ after }) => Effect.succeed(-after)),
    Double: ({ numbers }) => Stream.map(numbers, (number) => number * 2),
    First: ({ count, numbers }) => Stream.runCollect(Stream.take(numbers, count)),
    Slow: ({ data }) =>
      counted(
        Stream.runForEach(data, () =>
          Effect.suspend(() => {
            log.taken++
            return Deferred.await(log.gate)
          })).pipe(Effect.andThen(Effect.sync(() => log.taken)))
      ),
    Deaf: ({ data, leave }) =>
      counted(Effect.gen(function*() {
        if (leave) yield* Stream.runDrain(Stream.take(data, 1))
        yield* Deferred.await(log.gate)
        return "heard"
      })),
    Twice: ({ data }) => Effect.andThen(Stream.runDrain(data), Stream.runDrain(data)),
    Stubborn: ({ data }) => Rpc.uninterruptible(counted(Effect.orElseSucceed(Stream.runCount(data), () => -1))),
    Ping: () => Effect.succeed("pong")
  })
}))

const Live = Handlers.pipe(
  Layer.provideMerge(Layer.effect(Log, Effect.map(Deferred.make<void>(), (gate) => ({ gate, taken: 0, open: 0 })))),
  Layer.provideMerge(Logger.layer([]))
)

/** A caller's stream that tells how many of its items were made, and whether it is open. */
const watched = <A, E>(stream: Stream.Stream<A, E>) => {
  const seen = { made: 0, open: 0 }
  const items = Stream.unwrap(Effect.as(
    Effect.acquireRelease(
      Effect.sync(() => seen.open++),
      () => Effect.sync(() => seen.open--)
    ),
    Stream.tap(stream, () => Effect.sync(() => seen.made++))
  ))
  return { items, seen }
}

const endless = (size: number) => watched(Stream.forever(Stream.fromEffect(Effect.sync(() => new Uint8Array(size)))))
const never = Stream.never
const window = 16 * kibibyte
const narrow: PairOptions = { server: { window } }

describe("A stream in a payload", () => {
  it.live("comes whole and in order, beside the rest of the payload", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const data = Stream.range(1, 300).pipe(Stream.map((length) => new Uint8Array(length)))
      assert.deepStrictEqual(yield* client.Store({ name: "a", data }), { name: "a", length: 300 * 301 / 2 })
      assert.deepStrictEqual(yield* client.Store({ name: "empty", data: Stream.empty }), { name: "empty", length: 0 })
      assert.strictEqual(yield* client.Sum(Stream.range(1, 10_000)), 50_005_000)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("comes whole over a small window, segments and a ring that gives a byte at a time", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { cut: 1, size: 100, server: { window: 1024, maxMessage: 1024 } })
      assert.strictEqual(yield* client.Sum(Stream.range(1, 2000)), 2_001_000)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("comes whole in items that are cut in segments, after a payload that is, too", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { size: 4096 })
      const name = "n".repeat(200 * kibibyte)
      const data = Stream.fromIterable([200, 1, 100, 250, 2].map((length) => new Uint8Array(length * kibibyte)))
      assert.deepStrictEqual(yield* client.Store({ name, data }), { name, length: 553 * kibibyte })
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("goes with a stream of answers: both ways at once", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const seen: Array<number> = []
      const next = yield* Deferred.make<void>()
      const numbers = Stream.concat(Stream.make(1, 2), Stream.fromEffect(Effect.as(Deferred.await(next), 3)))
      yield* Stream.runForEach(client.Double({ numbers }), (number) => {
        seen.push(number)
        return number === 4 ? Deferred.succeed(next, undefined) : Effect.void
      })
      assert.deepStrictEqual(seen, [2, 4, 6])
      assert.strictEqual((yield* Stream.runCollect(client.Double({ numbers: Stream.range(1, 20_000) }))).length, 20_000)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("fails in the handler with its own error", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const numbers = Stream.concat(Stream.make(1, 2), Stream.fail(new Broken({ after: 2 })))
      assert.strictEqual(yield* client.Recover({ numbers }), -2)
      assert.deepStrictEqual(yield* Effect.flip(client.Sum(numbers)), new Broken({ after: 2 }))
      const seen: Array<number> = []
      const error = yield* Effect.flip(Stream.runForEach(client.Double({ numbers }), (number) => Effect.sync(() => seen.push(number))))
      assert.deepStrictEqual([error, seen], [new Broken({ after: 2 }), [2, 4]])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that dies is its caller's defect, and interrupts the handler", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const exit = yield* Effect.exit(client.Sum(Stream.concat(Stream.make(1), Stream.die(new Error("broke")))))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "broke")
      yield* until(() => log.open === 0 || undefined)
      assert.strictEqual(yield* client.Ping(), "pong")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is left by a handler that has enough: it is interrupted, and its finalizers have run when the call is over", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const { items, seen } = watched(Stream.forever(Stream.make(1)))
      assert.deepStrictEqual(yield* client.First({ numbers: items, count: 3 }), [1, 1, 1])
      assert.strictEqual(seen.open, 0)
      assert.deepStrictEqual(yield* client.First({ numbers: Stream.concat(Stream.make(1), never), count: 1 }), [1])
      assert.strictEqual(yield* client.Ping(), "pong")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is interrupted when the handler leaves it, though the handler goes on", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const { items, seen } = endless(100)
      const call = yield* Effect.forkChild(client.Deaf({ data: items, leave: true }))
      yield* until(() => (seen.made > 0 && seen.open === 0) || undefined)
      yield* Deferred.succeed(log.gate, undefined)
      assert.strictEqual(yield* Fiber.join(call), "heard")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("stops at the window where the handler is slow, and stops nobody else", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, narrow)
      const log = yield* Log
      const { items, seen } = endless(1000)
      const call = yield* Effect.forkChild(Effect.exit(client.Slow({ data: items })))
      yield* until(() => log.taken === 1 || undefined)
      yield* turns(50)
      const { made } = seen
      assert.isAtMost(made, window / 1000 + 3)
      assert.strictEqual(yield* client.Ping(), "pong")
      assert.strictEqual(yield* client.Sum(Stream.range(1, 20_000)), 200_010_000)
      assert.strictEqual(seen.made, made)
      yield* Deferred.succeed(log.gate, undefined)
      yield* until(() => seen.made > made + 100 || undefined)
      yield* Fiber.interrupt(call)
      assert.strictEqual(seen.open, 0)
      yield* until(() => log.open === 0 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("ends with its caller, and so does the handler", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const { items, seen } = watched(never)
      const call = yield* Effect.forkChild(client.Sum(items))
      yield* until(() => log.open === 1 || undefined)
      yield* Fiber.interrupt(call)
      assert.strictEqual(seen.open, 0)
      yield* until(() => log.open === 0 || undefined)
      const both = watched(never)
      yield* Stream.runDrain(Stream.take(client.Double({ numbers: Stream.concat(Stream.make(1), both.items) }), 1))
      assert.strictEqual(both.seen.open, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("ends with the call's deadline, and with its connection", () =>
    Effect.gen(function*() {
      const { client, serving, vchans } = yield* pair(Group)
      const log = yield* Log
      const late = watched(never)
      const error = yield* Effect.flip(Deadline.within(client.Sum(late.items), 30))
      assert.strictEqual(error instanceof VchanRpcError && error.reason._tag, "DeadlineExceeded")
      assert.strictEqual(late.seen.open, 0)
      const lost = watched(never)
      const call = yield* Effect.forkChild(Effect.flip(client.Sum(lost.items)))
      yield* until(() => log.open === 1 || undefined)
      vchans.client.end(new PeerGone())
      vchans.server.end(new PeerGone())
      assert.instanceOf(yield* Fiber.join(call), VchanRpcError)
      assert.strictEqual(lost.seen.open, 0)
      yield* Fiber.join(serving)
      assert.strictEqual(log.open, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("keeps no handler waiting that is uninterruptible, when its caller is gone", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      const call = yield* Effect.forkChild(client.Stubborn({ data: never }))
      yield* until(() => log.open === 1 || undefined)
      yield* Fiber.interrupt(call)
      yield* until(() => log.open === 0 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is read once", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const exit = yield* Effect.exit(client.Twice({ data: Stream.make(new Uint8Array(1)) }))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "read for a second time")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("with an item longer than the server takes fails its call, and says which limit", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, narrow)
      const log = yield* Log
      const error = yield* Effect.flip(client.Slow({ data: Stream.make(new Uint8Array(window + 1)) }))
      assert.deepInclude(error.reason, { _tag: "MessageTooLarge", what: "item", limit: window })
      yield* until(() => log.open === 0 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("with an error longer than a frame fails its call", () =>
    Effect.gen(function*() {
      const Wordy = RpcGroup.make(Rpc.make("Hear", { payload: RpcSchema.Stream(Schema.Int, Schema.String), success: Schema.String }))
      const hear = Wordy.toLayer({ Hear: (numbers) => Effect.catch(Effect.as(Stream.runDrain(numbers), "none"), Effect.succeed) })
      const { client } = yield* Effect.provide(pair(Wordy), hear)
      const words = "x".repeat(60_000)
      assert.strictEqual(yield* client.Hear(Stream.fail(words)), words)
      const error = yield* Effect.flip(client.Hear(Stream.fail("x".repeat(70_000))))
      assert.deepInclude(error.reason, { _tag: "MessageTooLarge", limit: maxBody })
    }).pipe(Effect.scoped))

  it.live("takes its window of the server's memory, however little it sends", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { window, maxMessage: window, memory: 3 * window } })
      const log = yield* Log
      const calls = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.exit(client.Sum(never))))
      yield* until(() => log.open === 2 || undefined)
      assert.strictEqual((yield* Effect.flip(client.Slow({ data: never }))).reason._tag, "TooManyBytes")
      assert.strictEqual(yield* client.Ping(), "pong")
      yield* Effect.forEach(calls, Fiber.interrupt)
      yield* until(() => log.open === 0 || undefined)
      yield* client.Ping()
      assert.strictEqual(yield* client.Sum(Stream.make(1, 2)), 3)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("cannot be sent where nobody waits for the call", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const exit = yield* Effect.exit(client.Sum(never, { discard: true }))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "discard")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("means the same over Effect's own test transport", () =>
    Effect.gen(function*() {
      const client = yield* RpcTest.makeClient(Group)
      assert.strictEqual(yield* client.Sum(Stream.range(1, 10)), 55)
      assert.deepStrictEqual([...yield* Stream.runCollect(client.Double({ numbers: Stream.make(1, 2) }))], [2, 4])
    }).pipe(Effect.scoped, Effect.provide(Live)))
})
