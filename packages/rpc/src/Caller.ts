/**
 * Who calls: given by the engine to each handler and each server middleware for as long as the call runs. Plain data.
 */
import type { DomId } from "@vchan/xen"
import { Context } from "effect"

/** Who calls. */
export interface Caller {
  /** The calling domain. */
  readonly domid: DomId
}

/**
 * The caller of the handler that asks. Its domid is the hypervisor's word, which no caller can forge, so authorisation needs no secret.
 *
 * It has no value outside a call over a vchan: asking for it there is a defect.
 *
 * @example
 * ```ts
 * import { Caller } from "@vchan/rpc"
 * import { Effect } from "effect"
 *
 * const handler = Effect.gen(function*() {
 *   const { domid } = yield* Caller
 *   return `hello, domain ${domid}`
 * })
 * ```
 */
export const Caller: Context.Reference<Caller> = Context.Reference<Caller>("@vchan/rpc/Caller", {
  defaultValue: () => {
    throw new Error("there is no Caller: this code does not run for a call over a vchan")
  }
})
