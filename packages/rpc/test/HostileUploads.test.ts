import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { limitsFrom } from "../src/Limits.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { buffersHeld } from "./support/memory.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Sum", { payload: { numbers: RpcSchema.Stream(Schema.Int, Schema.String) }, success: Schema.Int }),
  Rpc.make("Hold", { payload: { data: RpcSchema.Stream(Schema.String, Schema.Never), leave: Schema.Boolean } }),
  Rpc.make("Plain", { success: Schema.String }),
  Rpc.make("Wait"),
  Rpc.make("Ignore", { payload: { data: RpcSchema.Stream(Schema.String, Schema.Never) } }),
  Rpc.make("First", { payload: { data: RpcSchema.Stream(Schema.String, Schema.Never) } })
)
const methods = methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" }))
const index = { Sum: 0, Hold: 1, Plain: 2, Wait: 3, Ignore: 4, First: 5 }

const Live = Group.toLayer({
  Sum: ({ numbers }) => Effect.orElseSucceed(Stream.runFold(numbers, () => 0, (sum, number) => sum + number), () => -1),
  Hold: ({ data, leave }) => Effect.andThen(leave ? Stream.runDrain(Stream.take(data, 1)) : Effect.void, Effect.never),
  Plain: () => Effect.succeed("plain"),
  Wait: () => Effect.never,
  Ignore: () => turns(3),
  First: ({ data }) => Stream.runDrain(Stream.take(data, 1))
}).pipe(Layer.provideMerge(Logger.layer([])))

const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json))
const window = 100_000
const limits = { window, maxMessage: 200_000, memory: 400_000 }

describe("A hostile client's upload", () => {
  const serve = Effect.fnUntraced(function*() {
    const { client, server } = memoryVchans()
    const serving = yield* Effect.forkScoped((yield* serveGroup(Group, { service: "test", grace: 0, ...limits }))(server))
    const peer = new RawPeer(client)
    peer.hello({ methods })
    yield* peer.typed(FrameType.Hello)
    /** That the connection still works, and that all before has been read. */
    const works = Effect.suspend(() => {
      peer.send(FrameType.Request, index.Plain, 99, bytes(null))
      return Effect.map(peer.typed(FrameType.Success, 99), () => peer.frames.splice(0))
    })
    const ends = (why: string) =>
      Effect.gen(function*() {
        assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), why)
        yield* Fiber.join(serving)
      })
    return { peer, works, ends }
  })

  const breaks: ReadonlyArray<readonly [what: string, why: string, send: (peer: RawPeer) => void]> = [
    ["items for a call that takes none", "takes none", (peer) => {
      peer.send(FrameType.Request, index.Wait, 1, bytes(null))
      peer.send(FrameType.Chunk, index.Wait, 1, bytes([1]))
    }],
    ["an end for a call that takes no items", "takes none", (peer) => {
      peer.send(FrameType.Request, index.Wait, 1, bytes(null))
      peer.send(FrameType.End, index.Wait, 1)
    }],
    ["more items than the window takes", "window of 100000", (peer) => {
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
      for (let chunk = 0; chunk < 5; chunk++) peer.send(FrameType.Chunk, index.Hold, 1, bytes(["x".repeat(30_000)]))
    }],
    ["the promise of a chunk longer than the window", "over the limit of 100000", (peer) => {
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
      peer.first(FrameType.Chunk, index.Hold, 1, 100_001, new Uint8Array(1000))
    }],
    ["the promise of a chunk that does not fit beside those that wait", "over the limit of 20000", (peer) => {
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
      for (let chunk = 0; chunk < 2; chunk++) peer.send(FrameType.Chunk, index.Hold, 1, bytes(["x".repeat(39_995)]))
      peer.first(FrameType.Chunk, index.Hold, 1, 70_000, new Uint8Array(1000))
    }],
    ["items after the end", "after its end", (peer) => {
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
      peer.send(FrameType.End, index.Hold, 1)
      peer.send(FrameType.Chunk, index.Hold, 1, bytes(["x"]))
    }],
    ["two ends", "after its end", (peer) => {
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
      peer.send(FrameType.End, index.Hold, 1)
      peer.send(FrameType.End, index.Hold, 1)
    }],
    ["a discarded call", "nobody wants", (peer) => peer.envelope(index.Hold, 1, Uint8Array.of(2), bytes({ leave: false }))]
  ]
  for (const [what, why, send] of breaks) {
    it.live(`with ${what} ends the connection`, () =>
      Effect.gen(function*() {
        const { ends, peer } = yield* serve()
        send(peer)
        yield* ends(why)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }

  for (const [what, body] of [["items that are none", bytes(["no number"])], ["a chunk without items", bytes([])]] as const) {
    it.live(`with ${what} is refused, and the connection goes on`, () =>
      Effect.gen(function*() {
        const { peer, works } = yield* serve()
        peer.send(FrameType.Request, index.Sum, 1, bytes({}))
        peer.send(FrameType.Chunk, index.Sum, 1, body)
        assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "BadPayload")
        peer.send(FrameType.Chunk, index.Sum, 1, body)
        yield* works
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }

  it.live("is dropped where no call is there, or where the handler has left it, and takes no memory", () =>
    Effect.gen(function*() {
      const { peer, works } = yield* serve()
      for (let id = 10; id < 30; id++) {
        peer.send(FrameType.Chunk, index.Sum, id, bytes([1]))
        peer.first(FrameType.Chunk, index.Sum, id, 90_000, new Uint8Array(1000))
        peer.more(FrameType.Chunk, index.Sum, id, new Uint8Array(1000))
        peer.send(FrameType.End, index.Sum, id)
      }
      peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: true }))
      peer.send(FrameType.Chunk, index.Hold, 1, bytes(["x"]))
      yield* peer.typed(FrameType.Interrupt, 1)
      for (let chunk = 0; chunk < 20; chunk++) {
        peer.send(FrameType.Chunk, index.Hold, 1, bytes(["x".repeat(20_000)]))
        if (chunk % 5 === 0) yield* works
      }
      peer.first(FrameType.Chunk, index.Hold, 1, 90_000, new Uint8Array(1000))
      peer.send(FrameType.Interrupt, index.Hold, 1)
      yield* peer.typed(FrameType.Refusal, 1)
      // All the memory is there again: for three of them, and no fourth.
      for (const id of [2, 3, 4, 5]) peer.send(FrameType.Request, index.Hold, id, bytes({ leave: false }))
      assert.include(text((yield* peer.typed(FrameType.Refusal, 5)).body), "TooManyBytes")
      assert.isFalse(peer.frames.some(({ id, type }) => type === FrameType.Refusal && id > 1 && id < 5))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that stops in the middle of an item leaves nothing when its call is over", () =>
    Effect.gen(function*() {
      const { peer, works } = yield* serve()
      for (let turn = 0; turn < 20; turn++) {
        peer.send(FrameType.Request, index.Hold, 1, bytes({ leave: false }))
        peer.first(FrameType.Chunk, index.Hold, 1, 90_000, new Uint8Array(1000))
        peer.send(FrameType.Interrupt, index.Hold, 1)
        yield* peer.typed(FrameType.Refusal, 1)
        yield* works
      }
    }).pipe(Effect.scoped, Effect.provide(Live)))

  const item = (peer: RawPeer, method: number, id: number) => peer.first(FrameType.Chunk, method, id, 90_000, new Uint8Array(1))
  const halves: ReadonlyArray<readonly [how: string, send: (peer: RawPeer, id: number) => void]> = [
    ["by its End", (peer, id) => {
      peer.send(FrameType.Request, index.Sum, id, bytes({}))
      item(peer, index.Sum, id)
      peer.send(FrameType.End, index.Sum, id)
    }],
    ["by a handler that never reads it", (peer, id) => {
      peer.send(FrameType.Request, index.Ignore, id, bytes({}))
      item(peer, index.Ignore, id)
    }],
    ["by a handler that has read enough", (peer, id) => {
      peer.send(FrameType.Request, index.First, id, bytes({}))
      peer.send(FrameType.Chunk, index.First, id, bytes(["x"]))
      item(peer, index.First, id)
    }],
    ["by an Interrupt", (peer, id) => {
      peer.send(FrameType.Request, index.Hold, id, bytes({ leave: false }))
      item(peer, index.Hold, id)
      peer.send(FrameType.Interrupt, index.Hold, id)
    }]
  ]
  for (const [how, send] of halves) {
    it.live(`that is ended in the middle of an item, ${how}, again and again, takes no memory`, () =>
      Effect.gen(function*() {
        const { peer } = yield* serve()
        const before = buffersHeld()
        for (let id = 100; id < 400; id++) {
          send(peer, id)
          yield* peer.frame((frame) => frame.id === id && (frame.type === FrameType.Success || frame.type === FrameType.Refusal))
          peer.frames.length = 0
        }
        // All of them together would take 27 MB.
        assert.isBelow(buffersHeld() - before, 5_000_000)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }
})

describe("A hostile server", () => {
  const call = Effect.fnUntraced(function*() {
    const { client: end, server } = memoryVchans()
    const peer = new RawPeer(server)
    peer.hello({ methods, limits: limitsFrom({ window: 1024 }) })
    const { client, ended } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
    const log = { made: 0, open: 0 }
    const numbers = Stream.ensuring(
      Stream.forever(Stream.fromEffect(Effect.sync(() => ++log.made))),
      Effect.sync(() => log.open--)
    )
    log.open++
    return { client, ended, log, numbers, peer }
  })

  it.live("that gives no credit gets no more than its window, and costs no more", () =>
    Effect.gen(function*() {
      const { client, log, numbers, peer } = yield* call()
      const sum = yield* Effect.forkChild(client.Sum({ numbers }))
      yield* peer.typed(FrameType.Chunk, 1)
      yield* turns(50)
      const sent = peer.frames.filter(({ type }) => type === FrameType.Chunk).reduce((all, { body }) => all + body.length, 0)
      assert.isAtMost(sent, 1280)
      assert.isAtMost(log.made, 1280)
      yield* Fiber.interrupt(sum)
      assert.strictEqual(log.open, 0)
    }).pipe(Effect.scoped))

  for (
    const [what, type, body] of [
      ["credit for more than was sent", FrameType.Credit, Uint8Array.of(255, 255, 255, 255)],
      ["credit that is none", FrameType.Credit, Uint8Array.of(1)]
    ] as const
  ) {
    it.live(`that gives ${what} ends the connection, and the caller's stream`, () =>
      Effect.gen(function*() {
        const { client, ended, log, numbers, peer } = yield* call()
        const sum = yield* Effect.forkChild(Effect.flip(client.Sum({ numbers })))
        yield* peer.typed(FrameType.Chunk, 1)
        peer.send(type, 0, 1, body)
        assert.strictEqual((yield* ended).reason._tag, "ProtocolViolation")
        yield* Fiber.join(sum)
        assert.strictEqual(log.open, 0)
      }).pipe(Effect.scoped))
  }

  for (const type of [FrameType.Credit, FrameType.Interrupt]) {
    it.live(`that sends a frame of type ${type} for a call without an upload ends the connection`, () =>
      Effect.gen(function*() {
        const { client, ended, peer } = yield* call()
        const waits = yield* Effect.forkChild(Effect.exit(client.Wait()))
        yield* peer.typed(FrameType.Request, 1)
        peer.send(type, 0, 1, new Uint8Array(type === FrameType.Credit ? 4 : 0))
        assert.strictEqual((yield* ended).reason._tag, "ProtocolViolation")
        yield* Fiber.join(waits)
      }).pipe(Effect.scoped))
  }

  it.live("that wants no more items gets no more, and its answer counts", () =>
    Effect.gen(function*() {
      const { client, log, numbers, peer } = yield* call()
      const done = yield* Deferred.make<void>()
      const sum = yield* Effect.forkChild(Effect.ensuring(client.Sum({ numbers }), Deferred.succeed(done, undefined)))
      yield* peer.typed(FrameType.Chunk, 1)
      peer.send(FrameType.Interrupt, 0, 1)
      yield* until(() => log.open === 0 || undefined)
      for (const type of [FrameType.Interrupt, FrameType.Credit]) peer.send(type, 0, 1, new Uint8Array(type === FrameType.Credit ? 4 : 0))
      peer.send(FrameType.Success, 0, 1, bytes(5))
      assert.strictEqual(yield* Fiber.join(sum), 5)
      assert.isFalse(peer.frames.some(({ type }) => type === FrameType.End || type === FrameType.Interrupt))
    }).pipe(Effect.scoped))
})
