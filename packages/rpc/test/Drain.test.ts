import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import type { VchanRpcError } from "../src/RpcError.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const kibibyte = 1024

const Group = RpcGroup.make(
  Rpc.make("Wait", { success: Schema.String }),
  Rpc.make("Notify"),
  Rpc.make("Get", { payload: { length: Schema.Int }, success: Schema.Uint8Array }),
  Rpc.make("Items", { success: Schema.Int, stream: true }),
  Rpc.make("Stay", { success: Schema.String })
)

class Gate extends Context.Service<Gate, {
  readonly open: Deferred.Deferred<void>
  started: number
  done: number
  interrupted: number
}>()("test/Gate") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const gate = yield* Gate
  const behind = <A>(value: A) =>
    Effect.gen(function*() {
      gate.started++
      yield* Deferred.await(gate.open)
      gate.done++
      return value
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => gate.interrupted++)))
  return Group.of({
    Wait: () => behind("done"),
    Notify: () => behind(undefined),
    Get: ({ length }) => behind(new Uint8Array(length)),
    Items: () => Stream.concat(Stream.make(1, 2), Stream.fromEffect(behind(3))),
    Stay: () => Rpc.uninterruptible(behind("stayed"))
  })
}))

const Live = Handlers.pipe(
  Layer.provideMerge(Layer.effect(Gate, Effect.map(Deferred.make<void>(), (open) => ({ open, started: 0, done: 0, interrupted: 0 })))),
  Layer.provideMerge(Logger.layer([]))
)

const reasonOf = (error: VchanRpcError) => error.reason._tag

describe("A server that ends", () => {
  it.live("lets the calls that run come to their end, and takes no new ones", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, ended, parted, serving } = yield* pair(Group, { server: { grace: "1 hour" } })
      const running = yield* Effect.forkChild(Effect.all([client.Wait(), Stream.runCollect(client.Items())], { concurrency: 2 }))
      yield* until(() => gate.started === 2 || undefined)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* parted
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Wait())), "Draining")
      assert.strictEqual(gate.started, 2)
      yield* Deferred.succeed(gate.open, undefined)
      assert.deepStrictEqual(yield* Fiber.join(running), ["done", [1, 2, 3]])
      yield* Fiber.join(stopping)
      assert.strictEqual(reasonOf(yield* ended), "ConnectionLost")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("waits until a long reply has been taken", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving } = yield* pair(Group, { size: 4096, server: { grace: "1 hour" } })
      const running = yield* Effect.forkChild(client.Get({ length: 1024 * kibibyte }))
      yield* until(() => gate.started === 1 || undefined)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* Deferred.succeed(gate.open, undefined)
      assert.strictEqual((yield* Fiber.join(running)).length, 1024 * kibibyte)
      yield* Fiber.join(stopping)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("waits for calls that nobody waits for", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving } = yield* pair(Group, { server: { grace: "1 hour" } })
      yield* client.Notify(undefined, { discard: true })
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* turns(20)
      assert.deepStrictEqual([gate.started, gate.done], [1, 0])
      yield* Deferred.succeed(gate.open, undefined)
      yield* Fiber.join(stopping)
      assert.deepStrictEqual([gate.done, gate.interrupted], [1, 0])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("interrupts what is left when the grace is over, and tells its caller", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving } = yield* pair(Group, { server: { grace: "20 millis" } })
      const running = yield* Effect.forkChild(Effect.flip(client.Wait()))
      yield* until(() => gate.started === 1 || undefined)
      yield* Fiber.interrupt(serving)
      assert.strictEqual(reasonOf(yield* Fiber.join(running)), "Interrupted")
      assert.strictEqual(gate.interrupted, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("interrupts everything at once where there is no grace", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving } = yield* pair(Group, { server: { grace: 0 } })
      const running = yield* Effect.forkChild(Effect.flip(client.Wait()))
      yield* until(() => gate.started === 1 || undefined)
      yield* Fiber.interrupt(serving)
      assert.strictEqual(reasonOf(yield* Fiber.join(running)), "Interrupted")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("waits for a handler that is uninterruptible, however long", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving } = yield* pair(Group, { server: { grace: 0 } })
      const running = yield* Effect.forkChild(client.Stay())
      yield* until(() => gate.started === 1 || undefined)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* turns(20)
      assert.isUndefined(stopping.pollUnsafe())
      yield* Deferred.succeed(gate.open, undefined)
      assert.strictEqual(yield* Fiber.join(running), "stayed")
      yield* Fiber.join(stopping)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("needs no grace for clients that make no calls", () =>
    Effect.gen(function*() {
      const { serving } = yield* pair(Group, { server: { grace: "1 hour" } })
      yield* Fiber.interrupt(serving)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("does not wait for a client that goes", () =>
    Effect.gen(function*() {
      const gate = yield* Gate
      const { client, serving, vchans } = yield* pair(Group, { server: { grace: "1 hour" } })
      const running = yield* Effect.forkChild(Effect.flip(client.Wait()))
      yield* until(() => gate.started === 1 || undefined)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* turns(5)
      vchans.client.close()
      yield* Fiber.join(stopping)
      assert.strictEqual(gate.interrupted, 1)
      yield* Fiber.join(running)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  const raw = Effect.fnUntraced(function*(grace: "1 hour" | "20 millis") {
    const { client, server } = memoryVchans()
    const serving = yield* Effect.forkScoped((yield* serveGroup(Group, { service: "test", grace }))(server))
    const peer = new RawPeer(client)
    peer.hello({ methods: methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" })) })
    yield* peer.typed(FrameType.Hello)
    return { peer, serving }
  })

  it.live("refuses a call that was on its way", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* raw("1 hour")
      peer.leaves = false
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* peer.typed(FrameType.GoingAway)
      peer.send(FrameType.Request, 0, 1, new TextEncoder().encode("null"))
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "Draining")
      peer.send(FrameType.GoingAway, 0, 0)
      yield* Fiber.join(stopping)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("tells all callers that they were interrupted, also where that is more than fits in the ring at once", () =>
    Effect.gen(function*() {
      const { client, server } = memoryVchans({ size: 1024 })
      const serving = yield* Effect.forkScoped((yield* serveGroup(Group, { service: "test", grace: "500 millis" }))(server))
      const peer = new RawPeer(client)
      peer.leaves = false
      peer.hello({ methods: methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" })) })
      yield* peer.typed(FrameType.Hello)
      for (let id = 1; id <= 100; id++) peer.send(FrameType.Request, 0, id, new TextEncoder().encode("null"))
      const gate = yield* Gate
      yield* until(() => gate.started === 100 ? true : undefined)
      peer.reads = false
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      yield* until(() => gate.interrupted === 100 ? true : undefined)
      peer.reads = true
      peer.read()
      yield* Fiber.join(stopping)
      // The last of them lie in the ring.
      yield* turns(20)
      const told = peer.frames.filter(({ body, type }) => type === FrameType.Refusal && text(body).includes("Interrupted"))
      assert.strictEqual(told.length, 100)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("waits no longer than its grace for a client that says nothing", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* raw("20 millis")
      peer.leaves = false
      yield* Fiber.interrupt(serving)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("says so once: a client ends the connection where it does so again", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.leaves = false
      peer.hello({ methods: methodsOf(Group) })
      const { client, ended } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      const waits = yield* Effect.forkChild(Effect.flip(client.Wait()))
      yield* peer.typed(FrameType.Request, 1)
      for (let word = 0; word < 2; word++) peer.send(FrameType.GoingAway, 0, 0)
      assert.strictEqual(reasonOf(yield* ended), "ProtocolViolation")
      assert.strictEqual(reasonOf(yield* Fiber.join(waits)), "ProtocolViolation")
    }).pipe(Effect.scoped))

  it.live("does not let a client take leave of a server that stays", () =>
    Effect.gen(function*() {
      const { peer } = yield* raw("1 hour")
      peer.send(FrameType.GoingAway, 0, 0)
      assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), "takes leave")
    }).pipe(Effect.scoped, Effect.provide(Live)))
})
