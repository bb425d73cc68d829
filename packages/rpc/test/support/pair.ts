/** A client and a server of one group, joined by an in-memory vchan. */
import { Effect, type Fiber, type Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { type ClientOver, clientOver } from "../../src/clientOver.ts"
import type { Plain } from "../../src/Contract.ts"
import type { VchanRpcError } from "../../src/RpcError.ts"
import { type Served as Needed, serveGroup, type ServeOptions } from "../../src/serveGroup.ts"
import { type MemoryVchan, memoryVchans } from "./memoryVchan.ts"

export interface PairOptions {
  readonly size?: number
  readonly clientDomid?: number
  readonly cut?: number
  readonly server?: Partial<ServeOptions>
  readonly client?: Partial<Parameters<typeof clientOver>[2]>
}

export interface Pair<Called extends Rpc.Any> extends ClientOver<Called> {
  readonly serving: Fiber.Fiber<void>
  readonly vchans: { readonly client: MemoryVchan; readonly server: MemoryVchan }
}

/** Serves `group`, and calls it as `clientGroup`, which may be another version of it. */
export const pairOf = <Served extends Rpc.Any, Called extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Served> & Plain<Served>,
  clientGroup: RpcGroup.RpcGroup<Called> & Plain<Called>,
  options: PairOptions = {}
): Effect.Effect<Pair<Called>, VchanRpcError, Needed<Served> | Rpc.MiddlewareClient<Called> | Scope.Scope> =>
  Effect.gen(function*() {
    const { client, server } = memoryVchans({
      ...(options.size === undefined ? {} : { size: options.size }),
      ...(options.clientDomid === undefined ? {} : { client: options.clientDomid })
    })
    if (options.cut !== undefined) client.cut = server.cut = options.cut
    const serve = yield* serveGroup<Served>(group, { service: "test", ...options.server })
    const serving = yield* Effect.forkScoped(Effect.ensuring(serve(server), Effect.sync(() => server.close())))
    yield* Effect.addFinalizer(() => Effect.sync(() => client.close()))
    const joined = yield* clientOver<Called>(clientGroup, client, { service: "test", helloTimeout: 2000, ...options.client })
    return { ...joined, serving, vchans: { client, server } }
  })

/** Serves `group` and calls it. */
export const pair = <Rpcs extends Rpc.Any>(group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>, options: PairOptions = {}) =>
  pairOf<Rpcs, Rpcs>(group, group, options)
