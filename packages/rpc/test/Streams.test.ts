import { assert, describe, it } from "@effect/vitest"
import { PeerGone } from "@vchan/vchan"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Queue, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { binary } from "../src/Codec.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { limitsFrom } from "../src/Limits.ts"
import { VchanRpcError } from "../src/RpcError.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair, pairOf } from "./support/pair.ts"
import { RawPeer, turns, until } from "./support/rawPeer.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { after: Schema.Int }) {}

const Group = RpcGroup.make(
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Endless", { payload: { size: Schema.Int }, success: Schema.Uint8Array, stream: true }),
  Rpc.make("Nothings", { success: Schema.Void, stream: true }),
  Rpc.make("Break", { payload: { how: Schema.Literals(["fail", "die"]) }, success: Schema.Int, error: Broken, stream: true }),
  Rpc.make("Queued", { success: Schema.String, stream: true }),
  Rpc.make("Ping", { success: Schema.String })
)

class Log extends Context.Service<Log, { produced: number; open: number }>()("test/Log") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  const tracked = <A, E>(stream: Stream.Stream<A, E>) =>
    Stream.unwrap(Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => log.open++),
        () => Effect.sync(() => log.open--)
      ),
      Stream.tap(stream, () => Effect.sync(() => log.produced++))
    ))
  return Group.of({
    Count: ({ to }) => Stream.range(1, to),
    Endless: ({ size }) => tracked(Stream.forever(Stream.fromEffect(Effect.sync(() => new Uint8Array(size))))),
    Nothings: () => tracked(Stream.forever(Stream.make(undefined))),
    Break: ({ how }) =>
      Stream.concat(Stream.make(1, 2), how === "fail" ? Stream.fail(new Broken({ after: 2 })) : Stream.die(new Error("broke"))),
    Queued: () =>
      Effect.gen(function*() {
        const queue = yield* Queue.unbounded<string, Cause.Done>()
        yield* Queue.offerAll(queue, ["a", "b", "c"])
        yield* Queue.end(queue)
        return queue
      }),
    Ping: () => Effect.succeed("pong")
  })
}))

const Live = Handlers.pipe(
  Layer.provideMerge(Layer.sync(Log, () => ({ produced: 0, open: 0 }))),
  Layer.provideMerge(Logger.layer([]))
)

const window = 16 * 1024

describe("Streams", () => {
  it.live("all items come, in order", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const items = yield* Stream.runCollect(client.Count({ to: 50_000 }))
      assert.deepStrictEqual([...items], Array.from({ length: 50_000 }, (_, index) => index + 1))
      assert.deepStrictEqual([...yield* Stream.runCollect(client.Count({ to: 0 }))], [])
    }).pipe(Effect.provide(Live)))

  it.live("all items come over a small window, small frames and a ring that gives one byte at a time", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { cut: 1, size: 100, client: { window: 1024, maxMessage: 1024 } })
      const items = yield* Stream.runCollect(client.Count({ to: 3000 }))
      assert.strictEqual(items.length, 3000)
    }).pipe(Effect.provide(Live)))

  it.live("streams are interleaved with each other and with calls", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { client: { window: 4096 } })
      const streams = Effect.forEach([500, 1000, 1500], (to) => Stream.runCollect(client.Count({ to })), { concurrency: "unbounded" })
      const pings = Effect.forEach(Array.from({ length: 100 }), () => client.Ping())
      const [lists] = yield* Effect.all([streams, pings], { concurrency: 2 })
      assert.deepStrictEqual(lists.map((list) => list.length), [500, 1000, 1500])
      for (const list of lists) assert.deepStrictEqual([...list], list.map((_, index) => index + 1))
    }).pipe(Effect.provide(Live)))

  it.live("a slow consumer stops its producer at the window, and nobody else", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { client: { window } })
      const log = yield* Log
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(client.Endless({ size: 1000 }))
        yield* pull
        yield* turns(50)
        const produced = log.produced
        assert.isAtMost(produced, window / 1000 + 3)
        assert.strictEqual(yield* client.Ping(), "pong")
        assert.strictEqual((yield* Stream.runCollect(client.Count({ to: 20_000 }))).length, 20_000)
        assert.strictEqual(log.produced, produced)
        for (let item = 0; item < 30; item++) yield* pull
        yield* turns(20)
        assert.isAbove(log.produced, produced)
      }))
      yield* until(() => log.open === 0 || undefined)
    }).pipe(Effect.provide(Live)))

  it.live("items of no bytes are bounded too", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { client: { window } })
      const log = yield* Log
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(client.Nothings())
        yield* pull
        yield* turns(50)
        assert.isAtMost(log.produced, window)
      }))
    }).pipe(Effect.provide(Live)))

  it.live("a stream that its consumer leaves ends its producer", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      assert.strictEqual((yield* Stream.runCollect(Stream.take(client.Endless({ size: 10 }), 3))).length, 3)
      yield* until(() => log.open === 0 || undefined)
      assert.strictEqual(yield* client.Ping(), "pong")
    }).pipe(Effect.provide(Live)))

  it.live("a typed failure comes after the items before it", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const seen: Array<number> = []
      const error = yield* Effect.flip(Stream.runForEach(client.Break({ how: "fail" }), (item) => Effect.sync(() => seen.push(item))))
      assert.instanceOf(error, Broken)
      assert.deepStrictEqual(seen, [1, 2])
    }).pipe(Effect.provide(Live)))

  it.live("a defect of the producer ends that stream alone, with its message", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const exit = yield* Effect.exit(Stream.runDrain(client.Break({ how: "die" })))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "broke")
      assert.strictEqual(yield* client.Ping(), "pong")
    }).pipe(Effect.provide(Live)))

  it.live("an item longer than the client takes fails the stream, and says which limit", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { client: { maxMessage: 2048, window } })
      const error = yield* Effect.flip(Stream.runDrain(client.Endless({ size: 3000 })))
      assert.instanceOf(error, VchanRpcError)
      assert.deepInclude(error.reason, { _tag: "MessageTooLarge", what: "item", limit: 2048 })
    }).pipe(Effect.provide(Live)))

  it.live("an item longer than the window passes when nothing else is outstanding", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { client: { window: 1024 } })
      assert.strictEqual((yield* Stream.runCollect(Stream.take(client.Endless({ size: 100_000 }), 5))).length, 5)
    }).pipe(Effect.provide(Live)))

  it.live("a handler may give a Queue", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.deepStrictEqual([...yield* Stream.runCollect(client.Queued())], ["a", "b", "c"])
    }).pipe(Effect.provide(Live)))

  it.live("a caller may ask for a queue", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const queue = yield* client.Count({ to: 3 }, { asQueue: true })
      assert.deepStrictEqual([yield* Queue.take(queue), yield* Queue.take(queue), yield* Queue.take(queue)], [1, 2, 3])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Queue.take(queue))))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a lost connection fails the stream once, after the items that came, and ends the producer", () =>
    Effect.gen(function*() {
      const { client, serving, vchans } = yield* pair(Group)
      const log = yield* Log
      const fiber = yield* Effect.forkChild(Stream.runDrain(client.Endless({ size: 10 })))
      yield* until(() => log.open === 1 || undefined)
      vchans.client.end(new PeerGone())
      vchans.server.end(new PeerGone())
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      yield* Fiber.join(serving)
      assert.strictEqual(log.open, 0)
    }).pipe(Effect.provide(Live)))

  it.live("two versions of a stream's items talk in JSON", () =>
    Effect.gen(function*() {
      const One = RpcGroup.make(Rpc.make("List", { success: Schema.Struct({ id: Schema.Int }), stream: true }))
      const Two = RpcGroup.make(
        Rpc.make("List", { success: Schema.Struct({ id: Schema.Int, name: Schema.optionalKey(Schema.String) }), stream: true })
      )
      const { client } = yield* Effect.provide(pairOf(Two, One), Two.toLayer({ List: () => Stream.make({ id: 1, name: "a" }, { id: 2 }) }))
      assert.deepStrictEqual([...yield* Stream.runCollect(client.List())], [{ id: 1 }, { id: 2 }])
    }))
})

describe("A client that does not take", () => {
  const start = Effect.fnUntraced(function*(options: { readonly window: number; readonly highWater: number }) {
    const { client, server } = memoryVchans({ size: 4096 })
    const serve = yield* serveGroup(Group, { service: "test", maxCalls: 100, highWater: options.highWater, grace: 0 })
    const serving = yield* Effect.forkScoped(serve(server))
    const methods = methodsOf(Group)
    const peer = new RawPeer(client)
    peer.hello({ methods, limits: limitsFrom({ maxCalls: 1, window: options.window }) })
    yield* peer.typed(FrameType.Hello)
    const request = (name: string, id: number, payload: unknown) => {
      const index = methods.findIndex((method) => method.name === name)
      peer.send(FrameType.Request, index, id, Result.getOrThrow(methods[index]?.binary.payload.encode(payload) ?? Result.fail("none")))
    }
    return { peer, request, serving, client }
  })

  it.live("is sent no more of a stream than its window, and more when it gives credit", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const { peer, request } = yield* start({ window: 4096, highWater: 1024 * 1024 })
      request("Endless", 1, { size: 1000 })
      yield* turns(50)
      const chunks = () => peer.frames.filter((frame) => frame.type === FrameType.Chunk)
      const size = chunks()[0]?.body.length ?? 0
      assert.strictEqual(chunks().length, Math.floor(4096 / (size + 1)))
      assert.isAtMost(log.produced, chunks().length + 1)
      const before = chunks().length
      peer.credit(1, size + 1)
      yield* turns(20)
      assert.strictEqual(chunks().length, before + 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("of many streams at once makes the server hold no more than its high water", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const { peer, request } = yield* start({ window: 1024 * 1024, highWater: 64 * 1024 })
      peer.reads = false
      for (let id = 1; id <= 50; id++) request("Endless", id, { size: 1000 })
      yield* turns(100)
      assert.isAbove(log.produced, 50)
      assert.isAtMost(log.produced, 64 + 4 + 2 * 50)
      peer.reads = true
      peer.read()
      yield* until(() => log.produced > 20_000 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("of replies has no more of its requests read, and loses none of them", () =>
    Effect.gen(function*() {
      const { peer, request } = yield* start({ window: 4096, highWater: 1024 })
      peer.reads = false
      for (let id = 1; id <= 2000; id++) request("Ping", id, undefined)
      yield* turns(100)
      assert.isBelow(peer.vchan.spaceUnsafe(), 100)
      peer.reads = true
      peer.read()
      yield* until(() => peer.frames.filter((frame) => frame.type === FrameType.Success).length === 2000 || undefined)
      const ids = peer.frames.filter((frame) => frame.type === FrameType.Success).map((frame) => frame.id)
      assert.deepStrictEqual(ids, Array.from({ length: 2000 }, (_, index) => index + 1))
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A server that sends too much", () => {
  it.live("ends the connection with ProtocolViolation", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      const methods = methodsOf(Group)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000, window: 1024 })
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runForEach(client.Endless({ size: 1 }), () => Effect.never)))
      const { id } = yield* peer.frame((frame) => frame.type === FrameType.Request)
      const chunk = Result.getOrThrow(binary(Schema.Array(Schema.Uint8Array), {}).encode([new Uint8Array(400)])).slice()
      for (let sent = 0; sent < 8; sent++) peer.send(FrameType.Chunk, 1, id, chunk)
      yield* until(() => peer.frames.find((frame) => frame.type === FrameType.Goodbye))
      const later = yield* Effect.flip(client.Ping())
      assert.strictEqual(later.reason._tag, "ProtocolViolation")
      assert.include(later.message, "window of 1024")
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped))
})
