/**
 * Effect's own RPC over a vchan: the `Protocol` of `RpcServer` and of `RpcClient`, with any `RpcSerialization` that frames.
 *
 * For programs that have `RpcServer.layer` and `RpcClient.make` already, and for what Effect builds on them. Each Layer owns its listener or its
 * connection. Admission is the listener's, and `Caller` works in handlers and middlewares; limits, flow control, deadlines and versions are
 * Effect's or none. Where the other domain is not trusted, VchanRpcServer and VchanRpcClient are the ones to use.
 */
import { Listener, type VchanError, VchanSocket, VchanSocketServer } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import { type Duration, Effect, Exit, Layer, Scope } from "effect"
import { RpcClient, type RpcSerialization, RpcServer } from "effect/rpc"
import { SocketServer } from "effect/socket"
import { Caller } from "./Caller.ts"
import { relativeServicePath, servicePath } from "./ServicePath.ts"

/** How a service is served, and to whom. */
export interface ServerOptions {
  /** The service's name. */
  readonly service: string
  /** The domains that may connect; others cannot even see that there is something. */
  readonly clients: "any" | ReadonlyArray<DomId>
  /** How many connections one domain may hold at once: 16 where left out. */
  readonly maxPerDomain?: number | undefined
  /** How long, at the server's end, clients are given to take their last answers: 5 seconds where left out. */
  readonly grace?: Duration.Input | undefined
}

/** Which service to call; and when to connect again or to ask whether the server lives, as `RpcClient.layerProtocolSocket` has it. */
export interface ClientOptions extends NonNullable<Parameters<typeof RpcClient.layerProtocolSocket>[0]> {
  /** The domain that serves. */
  readonly domain: DomId
  /** The service's name there. */
  readonly service: string
  /** How long each attempt waits for the service to be there: 5 seconds where left out. */
  readonly timeout?: Duration.Input | undefined
}

/** Tells handlers who calls: Effect's server runs them with what the connection's fiber has. */
const withCaller = (server: SocketServer.SocketServer["Service"]): SocketServer.SocketServer["Service"] => ({
  ...server,
  run: (handler) =>
    server.run((socket) =>
      Effect.flatMap(VchanSocketServer.CurrentVchan, ({ peer }) => Effect.provideService(handler(socket), Caller, { domid: peer }))
    )
})

/**
 * The transport of an `RpcServer`, at the service's place in this domain's tree.
 *
 * @example
 * ```ts
 * import { VchanProtocol } from "@vchan/rpc"
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 *
 * const EchoServer = RpcServer.layer(Echo).pipe(
 *   Layer.provide(Echo.toLayer({ Say: ({ text }) => Effect.succeed(text) })),
 *   Layer.provide(VchanProtocol.layerServer({ service: "echo", clients: "any" })),
 *   Layer.provide(RpcSerialization.layerNdjson)
 * )
 * ```
 */
export const layerServer = (
  options: ServerOptions
): Layer.Layer<RpcServer.Protocol, VchanError, RpcSerialization.RpcSerialization | GrantTable | EventChannel | XenStore> =>
  Layer.effect(
    RpcServer.Protocol,
    Effect.gen(function*() {
      const { clients, grace = "5 seconds", maxPerDomain, service } = options
      const scope = yield* Effect.scope
      const connections = yield* Scope.fork(scope)
      const path = relativeServicePath(service)
      const server = yield* Scope.provide(VchanSocketServer.make({ path, clients, maxPerDomain }), connections)
      const protocol = yield* RpcServer.makeProtocolSocketServer.pipe(
        Effect.provideService(SocketServer.SocketServer, withCaller(server)),
        Scope.provide(connections)
      )
      // Effect's server, when it is to end, stops to run and then waits until its last answer is taken, for however long that is.
      const end = Effect.andThen(server.close, Effect.delay(Scope.close(connections, Exit.void), grace))
      const close = Effect.forkIn(end, scope)
      return { ...protocol, run: (f) => Effect.ensuring(protocol.run(f), close) }
    })
  )

/**
 * The transport of an `RpcClient`. It connects when the Layer is built, and again, by `retryPolicy`, when the connection is lost; calls that are
 * in flight then fail with `RpcClientError`, whose reason is a `SocketError`'s.
 *
 * @example
 * ```ts
 * import { VchanProtocol } from "@vchan/rpc"
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 *
 * const program = Effect.gen(function*() {
 *   const echo = yield* RpcClient.make(Echo)
 *   return yield* echo.Say({ text: "hi" })
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(VchanProtocol.layerClient({ domain: 5, service: "echo" }).pipe(Layer.provide(RpcSerialization.layerNdjson)))
 * )
 * ```
 */
export const layerClient = (
  options: ClientOptions
): Layer.Layer<RpcClient.Protocol, never, RpcSerialization.RpcSerialization | GrantTable | EventChannel | XenStore> => {
  const { domain, service, timeout } = options
  const open = Listener.connect({ domid: domain, path: servicePath(domain, service), timeout })
  return RpcClient.layerProtocolSocket(options).pipe(Layer.provide(VchanSocket.layer(open)))
}
