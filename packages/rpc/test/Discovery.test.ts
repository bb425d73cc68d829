import { assert, describe, it } from "@effect/vitest"
import { MemoryXen, type Xen, XenStore } from "@vchan/xen"
import { Context, Effect, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Discovery, VchanRpcServer } from "../src/index.ts"

const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
const Clock = RpcGroup.make(Rpc.make("Now", { success: Schema.Number }), Rpc.make("Ticks", { success: Schema.Number, stream: true }))

const echo = (clients: "any" | ReadonlyArray<number>) =>
  VchanRpcServer.layer(Echo, { service: "echo", clients }).pipe(Layer.provide(Echo.toLayer({ Say: ({ text }) => Effect.succeed(text) })))

const clock = VchanRpcServer.layer(Clock, { service: "clock", clients: "any" }).pipe(
  Layer.provide(Clock.toLayer({ Now: () => Effect.succeed(1), Ticks: () => Stream.never }))
)

/** Each service in a process of its own of domain 5. */
const world = Effect.gen(function*() {
  const host = yield* MemoryXen.make()
  const start = (server: Layer.Layer<never, unknown, Xen>) => Layer.build(Layer.provide(server, [host.domain(5), Logger.layer([])]))
  for (const domid of [7, 9]) yield* Layer.build(host.domain(domid))
  return { host, start }
})

const methodsIn = (found: ReadonlyArray<Discovery.Discovered>) =>
  found.map(({ methods, service }) => [
    service,
    ...Result.match(methods, {
      onFailure: ({ reason }) => [reason._tag],
      onSuccess: (methods) => methods.map(({ name, shapes }) => `${name} ${shapes?.stream === true}`)
    })
  ])

describe("Discovery", () => {
  it.live("tells a domain the services that it may call, with their methods", () =>
    Effect.gen(function*() {
      const { host, start } = yield* world
      yield* start(echo([7]))
      yield* start(clock)
      const seenBy = (domid: number) => Effect.provide(Discovery.services({ domain: 5 }), host.domain(domid))
      assert.deepStrictEqual(methodsIn(yield* seenBy(7)), [["clock", "Now false", "Ticks true"], ["echo", "Say false"]])
      assert.deepStrictEqual(methodsIn(yield* seenBy(9)), [["clock", "Now false", "Ticks true"]])
    }).pipe(Effect.scoped))

  it.live("tells of one that is announced and does not answer", () =>
    Effect.gen(function*() {
      const { host, start } = yield* world
      yield* start(clock)
      const store = Context.get(yield* Layer.build(host.domain(5)), XenStore)
      // As a process leaves it that was killed; and what no service can be called.
      for (const name of ["ghost", "x".repeat(65)]) yield* store.makeDirectory(`data/rpc-for/any/${name}`)
      const found = yield* Effect.provide(Discovery.services({ domain: 5, timeout: "2 seconds" }), host.domain(7))
      assert.deepStrictEqual(methodsIn(found), [["clock", "Now false", "Ticks true"], ["ghost", "ConnectFailed"]])
    }).pipe(Effect.scoped))

  it.live("tells nothing of a domain that is not there", () =>
    Effect.gen(function*() {
      const { host } = yield* world
      assert.deepStrictEqual(yield* Effect.provide(Discovery.services({ domain: 6 }), host.domain(7)), [])
    }).pipe(Effect.scoped))
})
