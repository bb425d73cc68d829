import { assert, describe, it } from "@effect/vitest"
import { Idempotent, VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { MemoryXen, type Xen, XenStore, type XenStoreError } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { testHost } from "../../packages/xen-linux/test/testHost.ts"

const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }).annotate(Idempotent, true))
const handlers = Echo.toLayer({ Say: ({ text }) => Effect.succeed(text) })

const server = 1
const clients = Array.from({ length: 100 }, (_, index) => index + 2)

type Join = (domid: number) => Layer.Layer<Xen, XenStoreError>

/** Hosts with the quotas of C xenstored: 1000 nodes, 128 watches and 10 transactions for each domain, 2048 bytes for each node. */
const hosts: Readonly<Record<string, Effect.Effect<Join, never, Scope.Scope>>> = {
  memory: Effect.map(MemoryXen.make(), (host): Join => (domid) => host.domain(domid)),
  emulated: Effect.gen(function*() {
    const { directory } = yield* Effect.orDie(testHost())
    return (domid) => EmulatedXen.layer({ directory, domid })
  })
}

/** The same store, where `count` is called for each key that is written. */
const counted = (xen: Context.Context<Xen>, count: () => void): Context.Context<Xen> => {
  const store = Context.get(xen, XenStore)
  return Context.add(xen, XenStore, { ...store, write: (path, value) => Effect.andThen(Effect.sync(count), store.write(path, value)) })
}

const serve = (xen: Context.Context<Xen>, admitted: "any" | ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* VchanRpcServer.layer(Echo, { service: "echo", clients: admitted }).pipe(
      Layer.provide(handlers),
      Layer.provide(Layer.succeedContext(xen)),
      Layer.build,
      Scope.provide(scope)
    )
    return Scope.close(scope, Exit.void)
  })

const kinds = [["any domain", "any"], ["each of them by name", clients]] as const

describe.each(Object.entries(hosts))("a hundred client domains, %s backend", (_, host) => {
  it.live.each(kinds)(
    "of a server that admits %s, all are served, and served again when it comes back, without a storm",
    ([, admitted]) =>
      Effect.gen(function*() {
        const join = yield* host
        let asked = 0
        const xen = yield* Layer.build(join(server))
        const contexts = yield* Effect.forEach(clients, (domid) => Layer.build(join(domid)), { concurrency: 8 })
        const stop = yield* serve(xen, admitted)
        const connected = yield* Effect.forEach(contexts, (context) =>
          VchanRpcClient.make(Echo, { domain: server, service: "echo", timeout: "100 seconds" }).pipe(
            Effect.provideContext(counted(context, () =>
              asked++))
          ), { concurrency: "unbounded" })
        const say = Effect.forEach(connected, (client, index) =>
          client.Say({ text: `client ${index}` }), { concurrency: "unbounded" })
        const expected = connected.map((_, index) =>
          `client ${index}`
        )
        assert.deepStrictEqual(yield* say, expected)
        const atFirst = asked
        asked = 0
        yield* stop
        yield* serve(xen, admitted)
        assert.deepStrictEqual(yield* say, expected)
        yield* Effect.log(`keys that clients wrote: ${atFirst} at first, when all come at once; ${asked} after the restart`)
        assert.isAtLeast(asked, clients.length)
        // Were each to ask again for every other one that asks, half the square of them all would be written.
        assert.isAtMost(Math.max(atFirst, asked), 25 * clients.length)
      }).pipe(Effect.scoped)
  )
})
