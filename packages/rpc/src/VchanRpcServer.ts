/**
 * Serves a group of Effect's `Rpc` definitions to other domains.
 *
 * The Layer owns a listener, which gives each client that connects a vchan of its own, and all that runs for it. When the Layer ends, calls
 * that run have `grace` to come to their end; then every handler is interrupted, its caller is told so, and its finalizers have run before its
 * vchan is closed.
 *
 * Of `effect/rpc`: handlers may give an Effect, a Deferred (a late reply), a Stream or a Queue; server middlewares run around them, with
 * `Caller` to ask; `Rpc.uninterruptible` is honoured, and `Rpc.fork` changes nothing, for calls never wait for each other. Refused when the Layer is built, naming the method: a schema without a codec. Refused by the types: schemas that need
 * services.
 */
import { Listener, type VchanError } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import { Effect, Layer } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import type { Plain } from "./Contract.ts"
import { type Served, serveGroup, type ServeOptions } from "./serveGroup.ts"
import { relativeServicePath, serviceIndex } from "./ServicePath.ts"

/** How a service is served, and to whom. */
export interface Options extends ServeOptions {
  /** The domains that may connect; others cannot even see that there is something. */
  readonly clients: "any" | ReadonlyArray<DomId>
  /** How many connections one domain may hold at once: 16 where left out. Further ones are refused. */
  readonly maxPerDomain?: number | undefined
}

/**
 * Serves the group for as long as the Layer lives, at `data/rpc/<service>` in this domain's tree, and announces it to its clients.
 *
 * Fails with what XenStore refuses. What one client does wrong ends that client's connection at most, and is logged as a warning; a
 * handler's defect is logged as an error.
 *
 * @example
 * ```ts
 * import { VchanRpcServer } from "@vchan/rpc"
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 * const EchoHandlers = Echo.toLayer({ Say: ({ text }) => Effect.succeed(text) })
 *
 * const EchoServer = VchanRpcServer.layer(Echo, { service: "echo", clients: "any" }).pipe(Layer.provide(EchoHandlers))
 * ```
 */
export const layer = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: Options
): Layer.Layer<never, VchanError, Served<Rpcs> | GrantTable | EventChannel | XenStore> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const path = relativeServicePath(options.service)
    const handler = yield* serveGroup<Rpcs>(group, options)
    const listener = yield* Listener.make({
      path,
      index: serviceIndex,
      clients: options.clients,
      maxPerDomain: options.maxPerDomain,
      handler
    })
    yield* Effect.forkScoped(
      Effect.flatMap(listener.ended, (error) => Effect.logError(`${options.service} takes no more clients: ${error.message}`))
    )
  }))
