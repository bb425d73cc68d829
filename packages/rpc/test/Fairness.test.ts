import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Schema, SchemaGetter, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType, maxBody } from "../src/Frame.ts"
import { limitsFrom } from "../src/Limits.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const mebibyte = 1024 * 1024

let encoded = 0
/** Tells how many were encoded. */
const Counted = Schema.String.pipe(Schema.decodeTo(Schema.String, {
  decode: SchemaGetter.passthrough(),
  encode: SchemaGetter.transform((text: string) => {
    encoded++
    return text
  })
}))

const Group = RpcGroup.make(
  Rpc.make("Ping", { success: Schema.String }),
  Rpc.make("Get", { payload: { length: Schema.Int }, success: Schema.Uint8Array }),
  Rpc.make("Put", { payload: { bytes: Schema.Uint8Array }, success: Schema.Int }),
  Rpc.make("Store", { payload: { data: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) }, success: Schema.Int }),
  Rpc.make("Items", { payload: { count: Schema.Int, size: Schema.Int }, success: Schema.Uint8Array, stream: true }),
  Rpc.make("Counted", { payload: { length: Schema.Int }, success: Counted, stream: true }),
  Rpc.make("Wait")
)
const methods = methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" }))
const indexOf = (name: string) => methods.findIndex((method) => method.name === name)

let waiting = 0
const Live = Group.toLayer({
  Ping: () => Effect.succeed("pong"),
  Get: ({ length }) => Effect.sync(() => new Uint8Array(length)),
  Put: ({ bytes }) => Effect.succeed(bytes.length),
  Store: ({ data }) => Stream.runFold(data, () => 0, (sum, bytes) => sum + bytes.length),
  Items: ({ count, size }) => Stream.map(Stream.range(1, count), () => new Uint8Array(size)),
  Counted: ({ length }) => Stream.fromIterable(Array.from({ length: 4096 }, () => "x".repeat(length))),
  Wait: () => Effect.acquireUseRelease(Effect.sync(() => waiting++), () => Effect.never, () => Effect.sync(() => waiting--))
}).pipe(Layer.provideMerge(Logger.layer([])))

const large = { size: 64 * 1024, server: { maxMessage: 64 * mebibyte }, client: { maxMessage: 64 * mebibyte } }

describe("A connection", () => {
  const transfers = [
    ["reply", 16 * mebibyte],
    ["payload", 16 * mebibyte],
    ["stream", 16 * mebibyte],
    ["stream from the client", 16 * mebibyte]
  ] as const
  for (const [what, length] of transfers) {
    it.live(`lets a hundred small calls past one long ${what}`, () =>
      Effect.gen(function*() {
        const { client } = yield* pair(Group, large)
        const chunk = new Uint8Array(mebibyte / 8)
        const data = Stream.forever(Stream.make(chunk)).pipe(Stream.take(length / chunk.length))
        const long = what === "reply"
          ? Effect.map(client.Get({ length }), (bytes) => bytes.length)
          : what === "payload"
          ? client.Put({ bytes: new Uint8Array(length) })
          : what === "stream"
          ? Stream.runFold(client.Items({ count: length / chunk.length, size: chunk.length }), () => 0, (sum, bytes) => sum + bytes.length)
          : client.Store({ data })
        const order: Array<string> = []
        const transfer = yield* Effect.forkChild(Effect.tap(long, () => Effect.sync(() => order.push("long"))))
        yield* turns(1)
        for (let call = 0; call < 100 && order.length === call; call++) {
          yield* client.Ping()
          order.push("small")
        }
        assert.strictEqual(order.filter((name) => name === "small").length, 100)
        assert.strictEqual(yield* Fiber.join(transfer), length)
        assert.strictEqual(order.indexOf("long"), 100)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }

  it.live("lets two long transfers take turns: the one that began later and is shorter is over first", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, large)
      const order: Array<number> = []
      const get = (length: number) => Effect.tap(client.Get({ length }), () => Effect.sync(() => order.push(length)))
      const first = yield* Effect.forkChild(get(16 * mebibyte))
      yield* turns(3)
      yield* get(mebibyte)
      yield* Fiber.join(first)
      assert.deepStrictEqual(order, [mebibyte, 16 * mebibyte])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is not held up by consumers that take nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const gate = yield* Deferred.make<void>()
      const idle = yield* Effect.forkChild(Effect.forEach(
        Array.from({ length: 20 }),
        () => Stream.runForEach(client.Items({ count: 100, size: 10_000 }), () => Deferred.await(gate)),
        { concurrency: "unbounded", discard: true }
      ))
      yield* turns(20)
      assert.strictEqual(yield* client.Ping(), "pong")
      assert.strictEqual(yield* Stream.runCount(client.Items({ count: 100, size: 1000 })), 100)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(idle)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A stream whose items come many at once", () => {
  for (const length of [100, 10_000, 100_000]) {
    it.live(`encodes few more of them than its consumer may take, of ${length} bytes each`, () =>
      Effect.gen(function*() {
        const window = 256 * 1024
        const { client } = yield* pair(Group, { client: { window } })
        encoded = 0
        const idle = yield* Effect.forkChild(Stream.runForEach(client.Counted({ length }), () => Effect.never))
        yield* turns(20)
        // Twice its window, for what was encoded and did not fit in a chunk with the rest, and those that nobody knew the length of.
        assert.isAtMost(encoded, 2 * window / length + 8)
        assert.isAtLeast(encoded, 2)
        yield* Fiber.interrupt(idle)
        assert.strictEqual(yield* Stream.runCount(client.Counted({ length: 1000 })), 4096)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }
})

describe("An interruption", () => {
  it.live("of a caller is one frame, the next one that goes", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      const calls = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.forkChild(client.Wait()))
      yield* peer.typed(FrameType.Request, 100)
      peer.frames.length = 0
      yield* Fiber.interrupt(calls[41] ?? (yield* Effect.die("no call")))
      yield* peer.typed(FrameType.Interrupt, 42)
      yield* turns(5)
      assert.strictEqual(peer.frames.length, 1)
      yield* Effect.forEach(calls, Fiber.interrupt)
    }).pipe(Effect.scoped))

  it.live("is answered after what the ring holds and one segment, whatever else is on its way", () =>
    Effect.gen(function*() {
      const size = 64 * 1024
      const { client, server } = memoryVchans({ size })
      const limits = { maxMessage: 64 * mebibyte, grace: 0 }
      yield* Effect.forkScoped((yield* serveGroup(Group, { service: "test", ...limits }))(server))
      const peer = new RawPeer(client)
      peer.hello({ methods, limits: limitsFrom(limits) })
      yield* peer.typed(FrameType.Hello)
      waiting = 0
      for (let id = 1; id <= 500; id++) peer.send(FrameType.Request, indexOf("Wait"), id, new TextEncoder().encode("null"))
      yield* until(() => waiting === 500 || undefined)
      peer.reads = false
      for (const id of [501, 502, 503]) {
        peer.send(FrameType.Request, indexOf("Get"), id, new TextEncoder().encode(`{"length":${4 * mebibyte}}`))
      }
      yield* until(() => client.availableUnsafe() > size / 2 || undefined)
      yield* turns(10)
      peer.send(FrameType.Interrupt, indexOf("Wait"), 250)
      yield* until(() => waiting === 499 || undefined)
      peer.frames.length = 0
      peer.reads = true
      peer.read()
      assert.include(text((yield* peer.typed(FrameType.Refusal, 250)).body), "Interrupted")
      const before = peer.frames.slice(0, peer.frames.findIndex(({ id }) => id === 250))
      assert.isAtMost(before.reduce((bytes, { body }) => bytes + body.length, 0), size + maxBody)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})
