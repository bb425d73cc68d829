/**
 * Tests a service as its callers meet it, in one process and without Xen: the client and the server that domains use, over a vchan in memory.
 * Schemas, limits, deadlines, interruption and `Caller` are what they are between domains.
 *
 * What it makes belongs to the Scope of the test and ends with it.
 */
import { type DomId, MemoryXen } from "@vchan/xen"
import { Effect, Layer, type Scope } from "effect"
import type { Rpc, RpcClient, RpcGroup } from "effect/rpc"
import type { Plain } from "./Contract.ts"
import type { VchanRpcError } from "./RpcError.ts"
import type { Served } from "./serveGroup.ts"
import * as VchanRpcClient from "./VchanRpcClient.ts"
import * as VchanRpcServer from "./VchanRpcServer.ts"

/** Who calls, and what both sides allow. */
export interface Options {
  /** The domain that calls, as `Caller` tells the handlers: 2 where left out. The server is domain 1. */
  readonly caller?: DomId | undefined
  /** The server's options. */
  readonly server?: Omit<VchanRpcServer.Options, "clients" | "service"> | undefined
  /** The client's options. */
  readonly client?: Omit<VchanRpcClient.Options, "domain" | "service"> | undefined
}

/**
 * A client of the group, served by the handlers around it. Clients made within one `Effect.provide` of the handlers share them, so several
 * callers can be tried against one state. Deadlines are of the real time, also where a `TestClock` is.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Caller, VchanRpcTest } from "@vchan/rpc"
 * import { Effect, Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 *
 * const Greeter = RpcGroup.make(Rpc.make("Greet", { success: Schema.String }))
 * const GreeterHandlers = Greeter.toLayer({ Greet: () => Effect.map(Caller, ({ domid }) => `hello, domain ${domid}`) })
 *
 * it.effect("greets its caller", () =>
 *   Effect.gen(function*() {
 *     const greeter = yield* VchanRpcTest.makeClient(Greeter, { caller: 7 })
 *     assert.strictEqual(yield* greeter.Greet(), "hello, domain 7")
 *   }).pipe(Effect.scoped, Effect.provide(GreeterHandlers)))
 * ```
 */
export const makeClient = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: Options = {}
): Effect.Effect<RpcClient.RpcClient<Rpcs, VchanRpcError>, never, Served<Rpcs> | Rpc.MiddlewareClient<Rpcs> | Scope.Scope> =>
  Effect.gen(function*() {
    const service = "test"
    const domain = 1
    const host = yield* MemoryXen.make()
    const server = VchanRpcServer.layer<Rpcs>(group, { ...options.server, service, clients: "any" })
    yield* Layer.build(Layer.provide(server, host.domain(domain)))
    const caller = yield* Layer.build(host.domain(options.caller ?? 2))
    return yield* Effect.provideContext(VchanRpcClient.make<Rpcs>(group, { ...options.client, domain, service }), caller)
  }).pipe(Effect.orDie)
