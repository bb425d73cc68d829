import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { ClientCalls } from "../src/ClientCalls.ts"
import { ClientEngine } from "../src/ClientEngine.ts"
import { clientOver } from "../src/clientOver.ts"
import { binary } from "../src/Codec.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType, maxBody } from "../src/Frame.ts"
import { type LimitOptions, limitsFrom } from "../src/Limits.ts"
import type { VchanRpcError } from "../src/RpcError.ts"
import { serveGroup, type ServeOptions } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

const Group = RpcGroup.make(
  Rpc.make("Ping", { success: Schema.String }),
  Rpc.make("Get", { payload: { length: Schema.Int }, success: Schema.Uint8Array }),
  Rpc.make("Later", { payload: { length: Schema.Int }, success: Schema.Uint8Array }),
  Rpc.make("Put", { payload: { bytes: Schema.Uint8Array }, success: Schema.Int }),
  Rpc.make("Hold", { payload: { bytes: Schema.Uint8Array } }),
  Rpc.make("Items", { payload: { lengths: Schema.Array(Schema.Int) }, success: Schema.Uint8Array, stream: true })
)
const methods = methodsOf(Group)
const index = { Ping: 0, Get: 1, Later: 2, Put: 3, Hold: 4, Items: 5 }

const payload = (name: keyof typeof index, value: unknown): Uint8Array =>
  Result.getOrThrow(methods[index[name]]?.binary.payload.encode(value) ?? Result.fail("none")).slice()

class Log extends Context.Service<Log, { held: number; started: number; closed: number }>()("test/Log") {}

const filled = (length: number): Uint8Array => new Uint8Array(length).fill(length & 0xFF)

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  return Group.of({
    Ping: () => Effect.succeed("pong"),
    Get: ({ length }) => Effect.succeed(filled(length)),
    Later: ({ length }) => Effect.andThen(turns(3), Effect.sync(() => filled(length))),
    Put: ({ bytes }) =>
      Effect.sync(() => {
        log.started++
        return bytes.length
      }),
    Hold: () =>
      Effect.acquireRelease(
        Effect.sync(() => log.held++),
        () => Effect.sync(() => log.held--)
      ).pipe(Effect.andThen(Effect.never)),
    Items: ({ lengths }) =>
      Stream.fromIterable(lengths).pipe(
        Stream.map(filled),
        Stream.ensuring(Effect.sync(() => {
          log.closed++
        }))
      )
  })
}))

const Live = Handlers.pipe(
  Layer.provideMerge(Layer.sync(Log, () => ({ held: 0, started: 0, closed: 0 }))),
  Layer.provideMerge(Logger.layer([]))
)

const tagOf = (error: VchanRpcError) => error.reason._tag

const serve = Effect.fnUntraced(
  function*(options: Partial<ServeOptions> & { readonly client?: LimitOptions; readonly size?: number } = {}) {
    const { client, server } = memoryVchans(options.size === undefined ? {} : { size: options.size })
    const handler = yield* serveGroup(Group, { service: "test", grace: 0, ...options })
    const serving = yield* Effect.forkScoped(Effect.ensuring(handler(server), Effect.sync(() => server.close())))
    const peer = new RawPeer(client)
    peer.hello({ methods, limits: limitsFrom(options.client ?? {}) })
    yield* peer.typed(FrameType.Hello)
    return { peer, serving }
  }
)

const call = Effect.fnUntraced(function*(options: { readonly server?: LimitOptions; readonly client?: LimitOptions } = {}) {
  const { client: end, server } = memoryVchans()
  const peer = new RawPeer(server)
  peer.hello({ methods, limits: limitsFrom(options.server ?? {}) })
  const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000, ...options.client })
  return { client, peer }
})

const goodbye = (peer: RawPeer) => Effect.map(peer.typed(FrameType.Goodbye), (frame) => text(frame.body))

describe("Long messages", () => {
  const lengths = [16 * kibibyte, maxBody - 100, maxBody, maxBody + 1, 2 * maxBody, mebibyte, 3 * mebibyte + 1]
  it.live("of any length go both ways", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      for (const length of lengths) {
        assert.strictEqual(yield* client.Put({ bytes: filled(length) }), length)
        assert.deepStrictEqual(yield* client.Get({ length }), filled(length))
      }
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("go both ways at once through a small ring", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { size: 1000 })
      const both = lengths.flatMap((length) => [client.Put({ bytes: filled(length) }), Effect.map(client.Get({ length }), (b) => b.length)])
      const found = yield* Effect.all(both, { concurrency: "unbounded" })
      assert.deepStrictEqual(found, lengths.flatMap((length) => [length, length]))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("of a stream come in order, whatever their lengths, and before its end", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { size: 10_000 })
      const lengths = [10, 200_000, 5, 70_000, 20_000, 20_000, 1, 500_000, 3]
      const items = yield* Stream.runCollect(client.Items({ lengths }))
      assert.deepStrictEqual(items.map((item) => item.length), lengths)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("do not hold up short ones: hundreds of calls are over before one reply of 100 MiB is", () =>
    Effect.gen(function*() {
      const limits = { maxMessage: 128 * mebibyte, memory: 128 * mebibyte }
      const { client } = yield* pair(Group, { server: limits, client: limits })
      let calls = 0
      const long = yield* Effect.forkChild(client.Get({ length: 100 * mebibyte }))
      while (long.pollUnsafe() === undefined) {
        assert.strictEqual(yield* client.Ping(), "pong")
        calls++
      }
      assert.strictEqual((yield* Fiber.join(long)).length, 100 * mebibyte)
      assert.isAbove(calls, 100)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that are short of the ring let a short reply go past after one segment", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ size: 8 * kibibyte })
      for (const id of [1, 2, 3]) peer.send(FrameType.Request, index.Get, id, payload("Get", { length: mebibyte }))
      yield* peer.frame(({ type }) => type === FrameType.Success)
      peer.send(FrameType.Request, index.Ping, 9, payload("Ping", undefined))
      yield* peer.typed(FrameType.Success, 9)
      const order = peer.frames.filter(({ type }) => type === FrameType.Success).map(({ id }) => id)
      assert.isBelow(order.length, 10)
      assert.includeMembers(order, [1, 2, 9])
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A caller that is interrupted", () => {
  it.live("while its long payload waits sends no more of it, and no handler runs", () =>
    Effect.gen(function*() {
      const { client, vchans } = yield* pair(Group, { size: 1000, server: { memory: mebibyte, maxMessage: mebibyte } })
      const fiber = yield* Effect.forkChild(client.Put({ bytes: filled(900 * kibibyte) }))
      yield* until(() => vchans.server.availableUnsafe() > 0 || undefined)
      yield* Fiber.interrupt(fiber)
      // The server has let go of what came: there is memory for as much again.
      assert.strictEqual(yield* client.Ping(), "pong")
      yield* turns(20)
      assert.strictEqual(yield* client.Put({ bytes: filled(900 * kibibyte) }), 900 * kibibyte)
      assert.strictEqual((yield* Log).started, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("while its long reply is on its way is sent no more of it", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ size: 8 * kibibyte })
      peer.send(FrameType.Request, index.Get, 1, payload("Get", { length: 3 * mebibyte }))
      yield* peer.typed(FrameType.Success, 1)
      peer.send(FrameType.Interrupt, 0, 1)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "Interrupted")
      yield* turns(20)
      assert.isBelow(peer.frames.filter(({ id }) => id === 1).length, 20)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("in the middle of a stream's long item ends the producer and frees the memory of both sides", () =>
    Effect.gen(function*() {
      const limits = { maxMessage: mebibyte, memory: mebibyte }
      const { client } = yield* pair(Group, { size: 1000, server: limits, client: { ...limits, window: mebibyte } })
      for (let round = 0; round < 5; round++) {
        const fiber = yield* Effect.forkChild(Stream.runDrain(client.Items({ lengths: [900 * kibibyte] })))
        yield* turns(20)
        yield* Fiber.interrupt(fiber)
      }
      const log = yield* Log
      yield* until(() => log.closed === 5 || undefined)
      assert.strictEqual((yield* client.Get({ length: 900 * kibibyte })).length, 900 * kibibyte)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("Memory", () => {
  it.live("for payloads in flight is bounded: a call that does not fit fails with TooManyBytes, and works when others have ended", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxMessage: 100_000, memory: 100_000 } })
      const log = yield* Log
      const fiber = yield* Effect.forkChild(client.Hold({ bytes: filled(60_000) }))
      yield* until(() => log.held === 1 || undefined)
      const error = yield* Effect.flip(client.Put({ bytes: filled(60_000) }))
      assert.deepInclude(error.reason, { _tag: "TooManyBytes", what: "payload", limit: 100_000 })
      assert.strictEqual(yield* client.Put({ bytes: filled(30_000) }), 30_000)
      yield* Fiber.interrupt(fiber)
      yield* until(() => log.held === 0 || undefined)
      yield* turns(5)
      assert.strictEqual(yield* client.Put({ bytes: filled(90_000) }), 90_000)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("for payloads is bounded by the server, too, whatever the client counts", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxMessage: 100_000, memory: 100_000 })
      const body = payload("Hold", { bytes: filled(30_000) })
      for (let id = 1; id <= 5; id++) peer.send(FrameType.Request, index.Hold, id, body)
      for (const id of [4, 5]) assert.include(text((yield* peer.typed(FrameType.Refusal, id)).body), "TooManyBytes")
      assert.strictEqual((yield* Log).held, 3)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("for replies that a client does not take is bounded: those that do not fit are refused", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ size: 1000, maxMessage: mebibyte, memory: mebibyte })
      peer.reads = false
      for (let id = 1; id <= 3; id++) peer.send(FrameType.Request, index.Later, id, payload("Later", { length: 480 * kibibyte }))
      yield* turns(20)
      peer.reads = true
      peer.read()
      assert.include(text((yield* peer.typed(FrameType.Refusal, 3)).body), `"TooManyBytes","what":"reply"`)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("for replies holds the requests of a client that takes slowly back, and loses none", () =>
    Effect.gen(function*() {
      const limits = { maxMessage: mebibyte, memory: 4 * mebibyte }
      const { client } = yield* pair(Group, { size: 4000, server: limits, client: limits })
      const found = yield* Effect.forEach(Array.from({ length: 60 }), () => client.Get({ length: 200 * kibibyte }), {
        concurrency: "unbounded"
      })
      assert.isTrue(found.every((bytes) => bytes.length === 200 * kibibyte))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a reply that the server could never keep is MessageTooLarge", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxMessage: 100_000, memory: 100_000 } })
      assert.strictEqual(tagOf(yield* Effect.flip(client.Get({ length: 200_000 }))), "MessageTooLarge")
      assert.strictEqual(tagOf(yield* Effect.flip(Stream.runDrain(client.Items({ lengths: [200_000] })))), "MessageTooLarge")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("for the credit that a server does not read is bounded", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans({ size: 64 * kibibyte })
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const options = { service: "test", methods, limits: limitsFrom({ window: 1024 }), helloTimeout: 2000, keepalive: undefined }
      const engine = new ClientEngine(end, options)
      yield* engine.open
      const items = yield* Effect.fromNullishOr(methods[index.Items])
      const fiber = yield* Effect.forkChild(Effect.exit(Stream.runDrain(new ClientCalls(engine).stream(items, { lengths: [] }, {}))))
      const { id } = yield* peer.frame(({ type }) => type === FrameType.Request)
      peer.reads = false
      const chunk = Result.getOrThrow(binary(Schema.Array(Schema.Uint8Array), {}).encode([new Uint8Array(300)])).slice()
      for (let turn = 0; turn < 60_000 && engine.session.ended === undefined; turn++) {
        peer.send(FrameType.Chunk, index.Items, id, chunk)
        if (turn % 100 === 0) yield* turns(1)
      }
      yield* until(() => engine.session.ended)
      assert.isBelow(engine.session.out.length, 512 * kibibyte)
      assert.include(engine.session.ended?.message ?? "", "more items of Items than its window")
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped))

  it("limits whose memory holds no message are refused", () => {
    assert.throws(() => limitsFrom({ maxMessage: 2000, memory: 1999 }))
    assert.strictEqual(limitsFrom({ maxMessage: 64 * mebibyte }).memory, 64 * mebibyte)
  })
})

describe("A hostile client's segments", () => {
  const bytes = new Uint8Array(1000)
  const attacks: ReadonlyArray<readonly [string, (peer: RawPeer) => void, string]> = [
    [
      "of a message over the limit",
      (peer) => peer.first(FrameType.Request, index.Put, 1, 0xFFFF_FFFF, bytes),
      "over the limit of 300000 bytes"
    ],
    [
      "of messages that never end",
      (peer) => {
        for (let id = 1; id <= 10; id++) peer.first(FrameType.Request, index.Put, id, 70_000, bytes)
      },
      "where 20000 are left of the memory"
    ],
    [
      "without a first one's length",
      (peer) => peer.more(FrameType.Request, index.Put, 1, Uint8Array.from([1])),
      "a first segment of 1 bytes"
    ],
    [
      "beyond the message's end",
      (peer) => {
        peer.first(FrameType.Request, index.Put, 1, 70_000, new Uint8Array(60_000))
        peer.send(FrameType.Request, index.Put, 1, new Uint8Array(60_000))
      },
      "120000 bytes in segments of a message of 70000"
    ],
    [
      "of no bytes",
      (peer) => {
        peer.first(FrameType.Request, index.Put, 1, 70_000, bytes)
        peer.more(FrameType.Request, index.Put, 1, new Uint8Array(0))
      },
      "1000 bytes and more"
    ],
    ["of an Interrupt", (peer) => peer.first(FrameType.Interrupt, index.Put, 1, 70_000, bytes), "type 4 cut in segments"],
    [
      "under an id in use",
      (peer) => {
        peer.send(FrameType.Request, index.Hold, 1, payload("Hold", { bytes: new Uint8Array(1) }))
        const body = payload("Put", { bytes: filled(70_000) })
        peer.first(FrameType.Request, index.Put, 1, body.length, body.subarray(0, 60_000))
        peer.send(FrameType.Request, index.Put, 1, body.subarray(60_000))
      },
      "the id 1 was used for a second call"
    ]
  ]
  for (const [name, attack, detail] of attacks) {
    it.live(`${name} close its connection, tell why, and leave no handler`, () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* serve({ maxMessage: 300_000, memory: 300_000 })
        attack(peer)
        assert.include(yield* goodbye(peer), detail)
        yield* Fiber.join(serving)
        assert.strictEqual((yield* Log).held, 0)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }

  it.live("of a request that it interrupts are let go of, and the call is answered once", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxMessage: 100_000, memory: 100_000 })
      for (let id = 1; id <= 20; id++) {
        peer.first(FrameType.Request, index.Put, id, 90_000, new Uint8Array(10))
        peer.send(FrameType.Interrupt, index.Put, id)
        assert.include(text((yield* peer.typed(FrameType.Refusal, id)).body), "Interrupted")
      }
      peer.send(FrameType.Request, index.Ping, 99, payload("Ping", undefined))
      yield* peer.typed(FrameType.Success, 99)
      assert.strictEqual(peer.frames.filter(({ id, type }) => id === 5 && type === FrameType.Refusal).length, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A hostile server's segments", () => {
  const attacks: ReadonlyArray<readonly [string, (peer: RawPeer, id: number) => void, string]> = [
    ["of a reply over the limit", (peer, id) => peer.first(FrameType.Success, 1, id, 200_000, new Uint8Array(9)), "over the limit"],
    ["of replies that never end", (peer, id) => {
      for (let next = id; next < id + 10; next++) peer.first(FrameType.Success, 1, next, 90_000, new Uint8Array(9))
    }, "are left of the memory"],
    ["of a reply to no call", (peer, id) => {
      peer.first(FrameType.Success, 1, id + 1, 70_000, new Uint8Array(60_000))
      peer.send(FrameType.Success, 1, id + 1, new Uint8Array(10_000))
    }, "not in flight"],
    ["of a Refusal", (peer, id) => peer.first(FrameType.Refusal, 1, id, 70_000, new Uint8Array(9)), "type 9 cut in segments"]
  ]
  for (const [name, attack, detail] of attacks) {
    it.live(`${name} close the connection, and the caller's calls fail with ProtocolViolation`, () =>
      Effect.gen(function*() {
        const { client, peer } = yield* call({ client: { maxMessage: 100_000, memory: 300_000 } })
        const fiber = yield* Effect.forkChild(Effect.flip(client.Get({ length: 1 })))
        const { id } = yield* peer.frame(({ type }) => type === FrameType.Request)
        attack(peer, id)
        assert.include(yield* goodbye(peer), detail)
        assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "ProtocolViolation")
      }).pipe(Effect.scoped))
  }

  it.live("of a reply that it breaks off with a Refusal are let go of, and the call fails with that", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* call({ client: { maxMessage: 100_000, memory: 100_000 } })
      for (let round = 0; round < 10; round++) {
        const fiber = yield* Effect.forkChild(Effect.flip(client.Get({ length: 1 })))
        const { id } = yield* peer.frame((frame) => frame.type === FrameType.Request && frame.id === round + 1)
        peer.first(FrameType.Success, 1, id, 90_000, new Uint8Array(9))
        peer.send(FrameType.Refusal, 1, id, new TextEncoder().encode(`{"_tag":"Interrupted"}`))
        assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "Interrupted")
      }
    }).pipe(Effect.scoped))
})
