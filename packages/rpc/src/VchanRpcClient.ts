/**
 * Calls a group of Effect's `Rpc` definitions that another domain serves.
 *
 * A client belongs to a Scope and owns one vchan, on which all its calls travel. Where the connection is lost, every call in flight fails, once,
 * with `VchanRpcError`, and the client connects again, as `reconnect` says: later calls wait for that within their deadlines, and calls of an
 * `Idempotent` Rpc that were in flight are made again. When the Scope ends, or `reconnect` does, all fail.
 *
 * The client object is Effect's own `RpcClient`: a method for each Rpc, which gives an Effect, or a Stream for `stream: true`. Of its call
 * options `asQueue`, `streamBufferSize` (of that queue), `headers` and `discard` work; `context` has no meaning here, for there are no
 * transports to tell it to. Middlewares with a client's half run it around each call.
 */
import { Closed, Listener, VchanError } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import {
  Cause,
  Clock,
  type Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Pull,
  Result,
  Schedule,
  Scope,
  Stream,
  SubscriptionRef
} from "effect"
import type { Rpc, RpcClient, RpcGroup } from "effect/rpc"
import { ClientConnections } from "./ClientConnections.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import { engineOver } from "./clientOver.ts"
import { ConnectionState } from "./ConnectionState.ts"
import { clientOf, methodsOf, type Plain } from "./Contract.ts"
import type { KeepaliveOptions } from "./Keepalive.ts"
import type { LimitOptions } from "./Limits.ts"
import { defaultReconnect, type Reconnect, settledMillis } from "./reconnection.ts"
import { ConnectFailed, ConnectionLost, VchanRpcError } from "./RpcError.ts"
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
  /**
   * When to connect again after a connection was lost; `false` for never. The Schedule is stepped with the error of the lost connection
   * first, then with each attempt's, and starts anew once a connection has been open for a second. Where left out, attempts go on for ever, at
   * random moments of intervals that double from 200 milliseconds to 5 seconds, unless what serves there does not talk or is not to be trusted.
   */
  readonly reconnect?: Reconnect | false | undefined
  /**
   * Whether a method that the server does not have, or has in a version that does not fit, fails the connection. Where left out it fails its own
   * calls, without sending them, and the others work.
   */
  readonly strict?: boolean | undefined
}

/** A client, and how it stands with its connection. */
export interface Connected<Rpcs extends Rpc.Any> {
  readonly client: RpcClient.RpcClient<Rpcs, VchanRpcError>
  /** How it stands now. */
  readonly state: Effect.Effect<ConnectionState>
  /** How it stands now, and each change; ends after `Lost`. */
  readonly changes: Stream.Stream<ConnectionState>
}

/** How many connections may wait for their servers to close them. */
const mostParting = 4

type Needed = Scope.Scope | GrantTable | EventChannel | XenStore

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
): Effect.Effect<RpcClient.RpcClient<Rpcs, VchanRpcError>, VchanRpcError, Needed | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.map(connect<Rpcs>(group, options), ({ client }) => client)

/**
 * As `make`, and tells how it stands with the connection.
 *
 * @example
 * ```ts
 * import { VchanRpcClient } from "@vchan/rpc"
 * import { Console, Effect, Schema, Stream } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 *
 * const program = Effect.gen(function*() {
 *   const { changes, client } = yield* VchanRpcClient.connect(Echo, { domain: 5, service: "echo" })
 *   yield* Effect.forkScoped(Stream.runForEach(changes, ({ _tag }) => Console.log(_tag)))
 *   return yield* client.Say({ text: "hi" })
 * })
 * ```
 */
export const connect = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: Options
): Effect.Effect<Connected<Rpcs>, VchanRpcError, Needed | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function*() {
    const { domain: domid, reconnect = defaultReconnect, service } = options
    const services = yield* Effect.context<Rpc.MiddlewareClient<Rpcs>>()
    const methods = methodsOf<Rpcs>(group)
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
    const path = servicePath(domid, service)
    const failed = (reason: VchanRpcError["reason"]) => new VchanRpcError({ domid, service, reason })
    // Around all connections: they are closed when nobody would make another one any more.
    const around = yield* Scope.fork(yield* Effect.scope)

    const open = Effect.fnUntraced(function*(absent: "wait" | "fail") {
      // A Scope of its own: a connection that failed or has ended is let go of at once, not when the client's user is done.
      const scope = yield* Scope.fork(around)
      const close = Scope.close(scope, Exit.void)
      const engine = yield* Listener.connect({ domid, path, timeout, absent }).pipe(
        Effect.mapError((error) => failed(new ConnectFailed({ error }))),
        Effect.flatMap((vchan) => engineOver(vchan, methods, { ...options, helloTimeout: Duration.toMillis(timeout) })),
        Scope.provide(scope),
        Effect.onError(() => close)
      )
      return { engine, close }
    })

    /** The connections whose servers go away and have not closed them yet, the oldest first. */
    const parting = new Set<ClientEngine>()
    const part = (engine: ClientEngine) => {
      for (const other of parting) if (other.session.ended !== undefined) parting.delete(other)
      parting.add(engine)
      const [oldest] = parting
      // Of a server that goes away again and again and never closes.
      if (parting.size > mostParting) oldest?.session.end(closed().reason)
    }

    const first = yield* open("wait")
    const state = yield* SubscriptionRef.make<ConnectionState>(ConnectionState.Open())
    const connections = new ClientConnections({ domid, service, engine: first.engine, state })
    // Made when it is needed: an error holds on to the functions that it was made in.
    const closed = () => failed(new ConnectionLost({ error: new VchanError({ domid, path, reason: new Closed() }) }))
    yield* Effect.addFinalizer(() => Effect.suspend(() => connections.lose(closed())))

    let openedAt = yield* Clock.currentTimeMillis
    let step: ((error: VchanRpcError) => Pull.Pull<unknown, never, unknown>) | undefined
    /** Waits until a connection takes no more calls, and makes another one; fails where there will be none. */
    const another = Effect.fnUntraced(function*({ close, engine }: Effect.Success<ReturnType<typeof open>>) {
      const error = yield* Deferred.await(engine.parted)
      yield* Effect.forkIn(Effect.andThen(Deferred.await(engine.ended), Effect.uninterruptible(close)), around)
      if (reconnect === false) return yield* error
      if (error.reason._tag === "Draining") {
        part(engine)
        yield* SubscriptionRef.set(state, ConnectionState.Draining())
      }
      // A server that lets clients in and drops them at once shall not be asked more often than one that lets none in.
      if (step === undefined || (yield* Clock.currentTimeMillis) - openedAt >= settledMillis) {
        step = yield* Schedule.toStepWithSleep(reconnect)
      }
      let failure = error
      for (;;) {
        if (failure.reason._tag !== "Draining") yield* SubscriptionRef.set(state, ConnectionState.Connecting({ error: failure }))
        const last = failure
        yield* Pull.catchDone(step(last), () => last)
        const next = yield* Effect.result(open("fail"))
        if (Result.isSuccess(next)) {
          openedAt = yield* Clock.currentTimeMillis
          yield* connections.open(next.success.engine)
          return next.success
        }
        failure = next.failure
      }
    })
    yield* follow(first, another).pipe(
      // A Schedule may die. Nobody shall wait for it then.
      Effect.tapDefect((defect) => Effect.logError(`${service} of domain ${domid} is not connected to any more`, defect)),
      Effect.catchCause((cause) => connections.lose(Option.getOrElse(Cause.findErrorOption(cause), closed))),
      Effect.forkScoped
    )
    return {
      client: clientOf<Rpcs, VchanRpcError>(group, methods, connections, services),
      state: SubscriptionRef.get(state),
      changes: Stream.takeUntil(SubscriptionRef.changes(state), ConnectionState.$is("Lost"))
    }
  })

/** Goes from one to the next until there is none. */
const follow = Effect.fnUntraced(function*<A, E, R>(first: A, next: (current: A) => Effect.Effect<A, E, R>): Effect.fn.Return<never, E, R> {
  let current = first
  for (;;) current = yield* next(current)
})

/**
 * A client as a service: for those who give their program a tag for it.
 *
 * @example
 * ```ts
 * import { VchanRpcClient, type VchanRpcError } from "@vchan/rpc"
 * import { Context, Schema } from "effect"
 * import { Rpc, type RpcClient, RpcGroup } from "effect/rpc"
 *
 * const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
 *
 * class EchoClient extends Context.Service<EchoClient, RpcClient.FromGroup<typeof Echo, VchanRpcError>>()("EchoClient") {}
 *
 * const EchoClientLive = VchanRpcClient.layer(EchoClient, Echo, { domain: 5, service: "echo" })
 * ```
 */
export const layer = <I, Rpcs extends Rpc.Any>(
  tag: Context.Key<I, RpcClient.RpcClient<Rpcs, VchanRpcError>>,
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: Options
): Layer.Layer<I, VchanRpcError, GrantTable | EventChannel | XenStore | Exclude<Rpc.MiddlewareClient<Rpcs>, Scope.Scope>> =>
  Layer.effect(tag, make<Rpcs>(group, options))
