/**
 * Errors of the layer below, told as what they mean for one vchan: the reason stays, domid and path come with it.
 */
import { type DomId, type EventChannelError, type GrantTableError, isDomId, type XenStoreError } from "@vchan/xen"
import { Effect } from "effect"
import { VchanError } from "./VchanError.ts"

/** Wraps what Xen's services fail with; leaves a VchanError as it is. */
export const asVchanError =
  (domid: DomId, path: string) => (error: GrantTableError | EventChannelError | XenStoreError | VchanError): VchanError =>
    error._tag === "VchanError" ? error : new VchanError({ domid, path, reason: error.reason })

/** Dies where the caller names no domid: there is no peer that an error could tell of. */
export const checkDomid = (domid: DomId): Effect.Effect<void> =>
  isDomId(domid) ? Effect.void : Effect.die(new RangeError(`${domid} is no domid`))
