/**
 * Calls a group of Effect's `Rpc` definitions that another domain serves.
 *
 * A client belongs to a Scope and owns one vchan, on which all its calls travel. When the Scope ends, or the connection does, every call in
 * flight fails, once, with `VchanRpcError`, and later calls fail at once. There is no reconnection: make a new client.
 *
 * The client object is Effect's own `RpcClient`: a method for each Rpc, which gives an Effect, or a Stream for `stream: true`. Of its call
 * options `asQueue`, `streamBufferSize` (of that queue), `headers` and `discard` work; `context` has no meaning here, for there are no
 * transports to tell it to. Middlewares with a client's half are refused when the client is made.
 */
import { Listener } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import { Duration, Effect, Exit, Scope } from "effect"
import type { Rpc, RpcClient, RpcGroup } from "effect/rpc"
import { clientOver } from "./clientOver.ts"
import type { Plain } from "./Contract.ts"
import type { KeepaliveOptions } from "./Keepalive.ts"
import type { LimitOptions } from "./Limits.ts"
import { ConnectFailed, VchanRpcError } from "./RpcError.ts"
import { servicePath } from "./ServicePath.ts"

/** Which service to call. */
export interface Options extends LimitOptions {
  /** The domain that serves. */
  readonly domain: DomId
  /** The service's name there. */
  readonly service: string
  /** How long to wait for the service to be there, and then for its Hello: 5 seconds each where left out. */
  readonly timeout?: Duration.Input | undefined
  /** When a silent server is asked whether it lives, and given up; `false` for never. */
  readonly keepalive?: KeepaliveOptions | false | undefined
}

/**
 * Connects to a service and gives the client for it.
 *
 * Fails with `ConnectFailed` where the domain does not serve it to this one, `HandshakeTimeout` or `HandshakeRefused` where what serves there
 * does not talk. A call fails with the method's own errors and `VchanRpcError`; a payload that its schema refuses is the caller's defect;
 * a handler's defect comes as a defect, without its stack.
 *
 * @example
 * ```ts
 * import { VchanRpcClient } from "@vchan/rpc"
 * import { Effect, Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 *
 * const program = Effect.gen(function*() {
 *   const echo = yield* VchanRpcClient.make(Echo, { domain: 5, service: "echo" })
 *   return yield* echo.Say({ text: "hi" })
 * })
 * ```
 */
export const make = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: Options
): Effect.Effect<
  RpcClient.RpcClient<Rpcs, VchanRpcError>,
  VchanRpcError,
  Scope.Scope | GrantTable | EventChannel | XenStore
> =>
  Effect.gen(function*() {
    const { domain, service } = options
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
    const path = servicePath(domain, service)
    // A Scope of its own: a connection that failed or has ended is let go of at once, not when the client's user is done.
    const scope = yield* Scope.fork(yield* Effect.scope)
    const close = Scope.close(scope, Exit.void)
    const { client, ended } = yield* Listener.connect({ domid: domain, path, timeout }).pipe(
      Effect.mapError((error) => new VchanRpcError({ domid: domain, service, reason: new ConnectFailed({ error }) })),
      Effect.flatMap((vchan) => clientOver<Rpcs>(group, vchan, { ...options, helloTimeout: Duration.toMillis(timeout) })),
      Scope.provide(scope),
      Effect.onError(() => close)
    )
    yield* Effect.forkScoped(Effect.andThen(ended, Effect.uninterruptible(close)))
    return client
  })
