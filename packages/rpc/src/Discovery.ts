/**
 * What a domain serves to this one: the names that it announces in XenStore, and what answers under them. Owns a connection only while it asks.
 */
import { Listener, type VchanError } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import { type Duration, Effect, type Result } from "effect"
import * as Reflection from "./Reflection.ts"
import type { VchanRpcError } from "./RpcError.ts"
import { isServiceName, serviceIndex } from "./ServicePath.ts"

/** A service that a domain announces, and its methods, or why it does not tell them. */
export interface Discovered {
  readonly service: string
  readonly methods: Result.Result<ReadonlyArray<Reflection.MethodDescription>, VchanRpcError>
}

/** How many services are asked at once: each costs both sides a connection. */
const width = 4

/**
 * Lists the services of a domain that this one may connect to, and asks each for its methods.
 *
 * One that was killed may still be announced, and fails with `ConnectFailed` here. The whole fails only where XenStore does: a domain that serves
 * nothing to this one announces nothing.
 *
 * @example
 * ```ts
 * import { Discovery } from "@vchan/rpc"
 * import { Console, Effect, Result } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   for (const { methods, service } of yield* Discovery.services({ domain: 5 })) {
 *     yield* Console.log(service, Result.isSuccess(methods) ? methods.success.map(({ name }) => name) : methods.failure.message)
 *   }
 * })
 * ```
 */
export const services = (options: {
  /** The domain that serves. */
  readonly domain: DomId
  /** How long each service may take to answer: 5 seconds where left out. */
  readonly timeout?: Duration.Input | undefined
}): Effect.Effect<ReadonlyArray<Discovered>, VchanError, GrantTable | EventChannel | XenStore> =>
  Listener.announced({ domid: options.domain, index: serviceIndex }).pipe(
    Effect.flatMap((names) =>
      Effect.forEach(
        names.filter(isServiceName),
        (service) =>
          Effect.map(Effect.result(Reflection.describe({ ...options, service })), (methods): Discovered => ({ service, methods })),
        { concurrency: width }
      )
    )
  )
