/**
 * Errors of the layer below, told as what they mean for one vchan: the reason stays, domid and path come with it.
 */
import type { DomId, EventChannelError, GrantTableError, XenStoreError } from "@vchan/xen"
import { VchanError } from "./VchanError.ts"

/** Wraps what Xen's services fail with; leaves a VchanError as it is. */
export const asVchanError =
  (domid: DomId, path: string) => (error: GrantTableError | EventChannelError | XenStoreError | VchanError): VchanError =>
    error._tag === "VchanError" ? error : new VchanError({ domid, path, reason: error.reason })
