/**
 * A client's engine, and Effect's own client object, over a vchan that is open. What they give belongs to the Scope around them.
 */
import { Closed, type Vchan, VchanError } from "@vchan/vchan"
import { Deferred, Effect, type Scope } from "effect"
import type { Rpc, RpcClient, RpcGroup } from "effect/rpc"
import { ClientCalls } from "./ClientCalls.ts"
import { codecsFor } from "./ClientCodecs.ts"
import { ClientEngine } from "./ClientEngine.ts"
import { clientOf, type Method, methodsOf, type Plain } from "./Contract.ts"
import { keepaliveFrom, type KeepaliveOptions } from "./Keepalive.ts"
import { type LimitOptions, limitsFrom } from "./Limits.ts"
import { ConnectionLost, type VchanRpcError } from "./RpcError.ts"

/** What a client asks of each of its connections. */
export interface ConnectionOptions extends LimitOptions {
  readonly service: string
  /** How long the server may take to say Hello, in milliseconds. */
  readonly helloTimeout: number
  readonly keepalive?: KeepaliveOptions | false | undefined
  /** Whether a method that cannot be called fails the connection. */
  readonly strict?: boolean | undefined
  /** Whether the server is asked for the shapes of all its methods. */
  readonly describe?: boolean | undefined
}

/** An engine over an open vchan, greeted. When its Scope ends, what is in flight fails and the session ends; the vchan is the caller's. */
export const engineOver = Effect.fnUntraced(function*(vchan: Vchan, methods: ReadonlyArray<Method>, options: ConnectionOptions) {
  const { describe, helloTimeout, service } = options
  const keepalive = keepaliveFrom(options.keepalive)
  const engine = new ClientEngine(vchan, { service, methods, limits: limitsFrom(options), helloTimeout, keepalive, describe })
  // Made when it is needed: an error holds on to the functions that it was made in.
  const closed = () => new VchanError({ domid: vchan.peer, path: vchan.path, reason: new Closed() })
  yield* Effect.addFinalizer(() => Effect.sync(() => engine.session.end(new ConnectionLost({ error: closed() }))))
  const hello = yield* engine.open
  if (options.strict === true) {
    for (const [index, codecs] of codecsFor(methods, hello).entries()) {
      if ("_tag" in codecs) return yield* engine.session.error(codecs, methods[index]?.name)
    }
  }
  return engine
})

/** A client, and how it stands with its connection. */
export interface ClientOver<Rpcs extends Rpc.Any> {
  readonly client: RpcClient.RpcClient<Rpcs, VchanRpcError>
  /** Waits until no new calls are taken, and tells why. */
  readonly parted: Effect.Effect<VchanRpcError>
  readonly ended: Effect.Effect<VchanRpcError>
}

/** A client of a group over an open vchan, for as long as that is open. */
export const clientOver = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  vchan: Vchan,
  options: ConnectionOptions
): Effect.Effect<ClientOver<Rpcs>, VchanRpcError, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<Rpc.MiddlewareClient<Rpcs>>()
    const methods = methodsOf<Rpcs>(group)
    const engine = yield* engineOver(vchan, methods, options)
    return {
      client: clientOf<Rpcs, VchanRpcError>(group, methods, new ClientCalls(engine), services),
      parted: Deferred.await(engine.parted),
      ended: Deferred.await(engine.ended)
    }
  })
