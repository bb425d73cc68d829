/**
 * Idempotence: which calls may be made again where nobody knows whether their handler ran. Owns nothing.
 */
import { Context } from "effect"
import type { Method } from "./Contract.ts"
import type { VchanRpcReason } from "./RpcError.ts"

/**
 * Annotates an Rpc whose calls do the same when they are made twice. Where the connection is lost under such a call, the client makes it
 * again on the next one, with the deadline it had, up to 5 times in all. A stream is opened again only before its first item; a stream in the
 * payload is run from its beginning each time.
 *
 * @example
 * ```ts
 * import { Idempotent } from "@vchan/rpc"
 * import { Schema } from "effect"
 * import { Rpc } from "effect/rpc"
 *
 * const Get = Rpc.make("Get", { payload: { key: Schema.String }, success: Schema.String }).annotate(Idempotent, true)
 * ```
 */
export const Idempotent: Context.Reference<boolean> = Context.Reference<boolean>("@vchan/rpc/Idempotent", { defaultValue: () => false })

/** How often such a call is made at most: one that brings its server down must not do so for ever. */
export const tries = 5

/** Whether a call that failed so may be made again: its handler did not run, or may run twice. */
export const mayRepeat = ({ isIdempotent, upload }: Pick<Method, "isIdempotent" | "upload">, reason: VchanRpcReason): boolean => {
  switch (reason._tag) {
    case "Draining":
      // What a caller's own stream has given for the call that was refused, it may not give again.
      return isIdempotent || upload === undefined
    case "ConnectionLost":
    case "PeerSilent":
    case "Interrupted":
      return isIdempotent
    default:
      return false
  }
}
