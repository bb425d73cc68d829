/**
 * A group's client over a vchan that is open: Effect's own client object, made of an engine. What it gives belongs to the Scope around it.
 */
import { Closed, type Vchan, VchanError } from "@vchan/vchan"
import { Deferred, Effect } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { ClientCalls } from "./ClientCalls.ts"
import { ClientEngine } from "./ClientEngine.ts"
import { clientOf, methodsOf, type Plain } from "./Contract.ts"
import { keepaliveFrom, type KeepaliveOptions } from "./Keepalive.ts"
import { type LimitOptions, limitsFrom } from "./Limits.ts"
import { ConnectionLost, type VchanRpcError } from "./RpcError.ts"

/** A client of a group over an open vchan. When its Scope ends, what is in flight fails and the session ends; the vchan is the caller's. */
export const clientOver = Effect.fnUntraced(function*<Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  vchan: Vchan,
  options: LimitOptions & {
    readonly service: string
    readonly helloTimeout: number
    readonly keepalive?: KeepaliveOptions | false | undefined
  }
) {
  const { helloTimeout, service } = options
  const keepalive = keepaliveFrom(options.keepalive)
  const methods = methodsOf<Rpcs>(group)
  const engine = new ClientEngine(vchan, { service, methods, limits: limitsFrom(options), helloTimeout, keepalive })
  const closed = new VchanError({ domid: vchan.peer, path: vchan.path, reason: new Closed() })
  yield* Effect.addFinalizer(() => Effect.sync(() => engine.session.end(new ConnectionLost({ error: closed }))))
  yield* engine.open
  return { client: clientOf<Rpcs, VchanRpcError>(methods, new ClientCalls(engine)), ended: Deferred.await(engine.ended) }
})
