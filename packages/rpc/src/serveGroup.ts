/**
 * A group's handlers as one function of an open vchan: what a listener runs for each client. Owns nothing; what it gives to run owns one
 * connection.
 */
import type { Vchan } from "@vchan/vchan"
import { Duration, Effect } from "effect"
import { Rpc, type RpcGroup } from "effect/rpc"
import { type Plain, servedMethodsOf } from "./Contract.ts"
import { keepaliveFrom, type KeepaliveOptions } from "./Keepalive.ts"
import { type LimitOptions, limitsFrom } from "./Limits.ts"
import { Rate, type RateOptions } from "./Rate.ts"
import { serveVchan } from "./serveVchan.ts"

/** How a service is served. */
export interface ServeOptions extends LimitOptions {
  /** The service's name: 1 to 64 of the signs `A-Z a-z 0-9 - _ @`. */
  readonly service: string
  /** How long a client that has connected may take to say Hello: 5 seconds where left out. */
  readonly helloTimeout?: Duration.Input | undefined
  /** The bytes of replies that may wait for one client before nothing more is read from it: 1 MiB where left out. */
  readonly highWater?: number | undefined
  /** How long a handler may run before it is interrupted, where its caller gives no less: for ever where left out. */
  readonly maxTime?: Duration.Input | undefined
  /** How many calls one domain may make, over all its connections: any number where left out. */
  readonly rate?: RateOptions | undefined
  /** How long calls that run may go on when the server ends, and take no more time than they need: 5 seconds where left out. */
  readonly grace?: Duration.Input | undefined
  /** When a silent client is asked whether it lives, and let go of; `false` for never. */
  readonly keepalive?: KeepaliveOptions | false | undefined
}

/** What a served group needs: its handlers and its middlewares. */
export type Served<Rpcs extends Rpc.Any> = Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs>

/** Builds the function. Dies, naming the method, where the group cannot be served over a vchan. */
export const serveGroup = Effect.fnUntraced(function*<Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Plain<Rpcs>,
  options: ServeOptions
) {
  const services = yield* Effect.context<Served<Rpcs>>()
  const methods = servedMethodsOf<Rpcs>(group, services)
  const serverOptions = {
    service: options.service,
    methods: new Map(methods.map((method) => [method.name, method])),
    limits: limitsFrom(options),
    helloTimeout: Duration.toMillis(options.helloTimeout ?? Duration.seconds(5)),
    highWater: options.highWater ?? 1024 * 1024,
    keepalive: keepaliveFrom(options.keepalive),
    maxTime: Duration.toMillis(options.maxTime ?? Duration.infinity),
    rate: options.rate === undefined ? undefined : new Rate(options.rate),
    grace: Duration.toMillis(options.grace ?? Duration.seconds(5))
  }
  let connections = 0
  return (vchan: Vchan): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.suspend(() => serveVchan(vchan, serverOptions, new Rpc.ServerClient(connections++))),
      (error) => {
        const why = error.reason._tag === "ConnectionLost" ? error.reason.error.reason._tag : error.reason._tag
        const usual = why === "PeerGone" || why === "DomainGone" || why === "Closed"
        return (usual ? Effect.logDebug : Effect.logWarning)(error.message)
      }
    )
})
