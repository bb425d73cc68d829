/**
 * The machine below the hypervisor's bookkeeping: pages and events, which belong to whoever embeds it.
 */
import type { GrantReference } from "./GrantTable.ts"
import type { SystemRefusal } from "./XenError.ts"

/** What the embedder does for the hypervisor. Guests are told apart by the `id` that `enter` gave them. */
export interface Machine {
  /** Fresh zeroed pages are to stand behind these references; answers why there are none to be had. */
  readonly allocate: (first: GrantReference, count: number) => SystemRefusal | void
  /** Nobody holds these pages any more. */
  readonly free: (first: GrantReference, count: number) => void
  /** Writes 0 to one byte of a page. */
  readonly clearByte: (reference: GrantReference, offset: number) => void
  /** A port came to be, or its other end changed: `peer` is the port there, 0 for none. */
  readonly bound: (port: number, guest: number, peer: number) => void
  /** A port is gone. */
  readonly unbound: (port: number) => void
  /** An event for this port. */
  readonly raise: (port: number) => void
}
