import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Result, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { keepaliveFrom } from "../src/Keepalive.ts"
import { serveGroup, type ServeOptions } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Wait")
)
const methods = methodsOf(Group)
const say = Result.getOrThrow(methods[0]?.binary.payload.encode({ text: "hi" }) ?? Result.fail("none")).slice()
const nothing = Result.getOrThrow(methods[1]?.binary.payload.encode(undefined) ?? Result.fail("none")).slice()

let waiting = 0
const logged: Array<string> = []
const Live = Group.toLayer({
  Say: ({ text }) => Effect.succeed(text),
  Wait: () =>
    Effect.ensuring(
      Effect.andThen(Effect.sync(() => waiting++), Effect.never),
      Effect.sync(() => waiting--)
    )
}).pipe(Layer.provideMerge(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])))

const quick = { interval: 20, timeout: 20 }

/** A server with a raw client that has said Hello. */
const serve = Effect.fnUntraced(function*(options: Partial<ServeOptions> & { readonly size?: number } = {}) {
  const { client, server } = memoryVchans(options.size === undefined ? {} : { size: options.size })
  const handler = yield* serveGroup(Group, { service: "test", keepalive: quick, ...options })
  const serving = yield* Effect.forkScoped(Effect.ensuring(handler(server), Effect.sync(() => server.close())))
  const peer = new RawPeer(client)
  peer.hello({ methods })
  yield* peer.typed(FrameType.Hello)
  return { peer, serving }
})

const pings = (peer: RawPeer) => peer.frames.filter(({ type }) => type === FrameType.Ping).length
const pongs = (peer: RawPeer) => peer.frames.filter(({ type }) => type === FrameType.Pong).length

describe("A client that falls silent", () => {
  it.live("is asked, told why and let go of, and its handlers end", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve()
      peer.send(FrameType.Request, 1, 1, nothing)
      yield* until(() => waiting === 1 || undefined)
      peer.reads = false
      yield* Fiber.join(serving)
      assert.strictEqual(waiting, 0)
      peer.reads = true
      peer.read()
      assert.strictEqual(pings(peer), 1)
      assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), `"PeerSilent","silentMillis":40`)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("and takes nothing either is let go of, though no ping fits in its ring", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ size: 1024 })
      peer.reads = false
      peer.send(FrameType.Request, 1, 1, nothing)
      for (let id = 2; id <= 100; id++) peer.send(FrameType.Request, 0, id, Uint8Array.from([1, 2, 3]))
      yield* until(() => peer.vchan.availableUnsafe() === 1024 || undefined)
      assert.strictEqual(waiting, 1)
      logged.length = 0
      yield* Fiber.join(serving)
      assert.strictEqual(waiting, 0)
      assert.include(logged.join(), "heard nothing of the other")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is never asked where that was chosen", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ keepalive: false })
      yield* Effect.sleep(100)
      assert.strictEqual(pings(peer), 0)
      assert.isUndefined(serving.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A peer that lives", () => {
  it.live("is not let go of while it sends anything", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ keepalive: { interval: 50, timeout: 500 } })
      for (let turn = 0; turn < 100; turn++) {
        peer.credit(1, 1)
        yield* Effect.sleep(10)
      }
      assert.isUndefined(serving.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is not let go of while it takes bytes, however slowly, and sends none", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ size: 1024, highWater: 100_000, keepalive: { interval: 50, timeout: 500 } })
      peer.reads = false
      for (let id = 1; id <= 60; id++) peer.send(FrameType.Request, 0, id, Uint8Array.from([1, 2, 3]))
      yield* until(() => peer.vchan.availableUnsafe() > 900 || undefined)
      const byte = new Uint8Array(1)
      for (let turn = 0; turn < 100; turn++) {
        assert.strictEqual(peer.vchan.readUnsafe(byte, 0, 1), 1)
        yield* Effect.sleep(10)
      }
      assert.isUndefined(serving.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is not let go of while what it sent cannot be read for its own slowness", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ size: 1024, highWater: 100, keepalive: { interval: 50, timeout: 500 } })
      peer.reads = false
      for (let id = 1; id <= 60; id++) peer.send(FrameType.Request, 0, id, Uint8Array.from([1, 2, 3]))
      for (let turn = 0; turn < 100; turn++) {
        peer.bytes(Uint8Array.from([0]))
        yield* Effect.sleep(10)
      }
      assert.isUndefined(serving.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("stays connected for as long as both sides are idle", () =>
    Effect.gen(function*() {
      const { client, serving } = yield* pair(Group, {
        server: { keepalive: { interval: 20, timeout: 500 } },
        client: { keepalive: { interval: 30, timeout: 500 } }
      })
      yield* Effect.sleep(400)
      assert.isUndefined(serving.pollUnsafe())
      assert.strictEqual(yield* client.Say({ text: "still there" }), "still there")
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A server that falls silent", () => {
  it.live("fails the calls in flight and the later ones with PeerSilent", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000, keepalive: quick })
      peer.reads = false
      const error = yield* Effect.flip(client.Say({ text: "hi" }))
      assert.strictEqual(error.reason._tag, "PeerSilent")
      assert.include(error.message, "test.Say with domain 1: one side heard nothing of the other for 40 ms")
      assert.strictEqual((yield* Effect.flip(client.Say({ text: "hi" }))).reason._tag, "PeerSilent")
    }).pipe(Effect.scoped))
})

describe("Pings", () => {
  it.live("are answered", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ keepalive: false })
      peer.send(FrameType.Ping, 0, 0)
      yield* peer.typed(FrameType.Pong)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("in a storm are answered by one Pong at a time, from a server whose memory does not grow and which serves the rest", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ size: 1024, keepalive: false })
      peer.reads = false
      for (let turn = 0; turn < 100_000; turn++) peer.send(FrameType.Ping, 0, 0)
      peer.send(FrameType.Request, 0, 5, say)
      yield* until(() => peer.vchan.availableUnsafe() > 1000 || undefined)
      yield* turns(2000)
      peer.reads = true
      peer.read()
      yield* peer.typed(FrameType.Success, 5)
      assert.isAtLeast(pongs(peer), 1)
      assert.isBelow(pongs(peer), 200)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("before the Hello are no Hello", () =>
    Effect.gen(function*() {
      const { client, server } = memoryVchans()
      const handler = yield* serveGroup(Group, { service: "test" })
      yield* Effect.forkScoped(handler(server))
      const peer = new RawPeer(client)
      peer.send(FrameType.Ping, 0, 0)
      assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), "no Hello")
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("keepaliveFrom", () => {
  it("fills 30 seconds in, takes false for none, and refuses what no timer can do", () => {
    assert.deepStrictEqual(keepaliveFrom(undefined), { interval: 30_000, timeout: 30_000 })
    assert.isUndefined(keepaliveFrom(false))
    assert.deepStrictEqual(keepaliveFrom({ interval: "1 hour", timeout: Infinity }), { interval: 3_600_000, timeout: 0x7FFF_FFFF })
    assert.throws(() => keepaliveFrom({ interval: 0 }), RangeError)
    assert.throws(() => keepaliveFrom({ timeout: Number.NaN }), RangeError)
  })
})
