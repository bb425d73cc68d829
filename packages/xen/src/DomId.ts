/**
 * The domid: the number by which Xen knows a domain.
 *
 * Plain data. The hypervisor hands domids out; nothing here owns or ends one.
 */
import { Schema } from "effect"

/**
 * A domid: 0 is the control domain (dom0); `0x7FF0` and up are reserved by Xen (`DOMID_FIRST_RESERVED`, public/xen.h).
 *
 * @example
 * ```ts
 * import { DomId } from "@vchan/xen"
 * import { Schema } from "effect"
 *
 * Schema.decodeUnknownSync(DomId)(7) // 7
 * ```
 */
export const DomId = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0x7FEF })).annotate({ identifier: "DomId" })

/** A domid. */
export type DomId = number

/** Whether a value is a domid an ordinary domain may have. */
export const isDomId: (value: unknown) => value is DomId = Schema.is(DomId)
