/**
 * All that a program needs of Xen, whichever backend gives it.
 */
import type { EventChannel } from "./EventChannel.ts"
import type { GrantTable } from "./GrantTable.ts"
import type { XenStore } from "./XenStore.ts"

/** The three services of a domain. */
export type Xen = GrantTable | EventChannel | XenStore
