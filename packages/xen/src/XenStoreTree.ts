/**
 * The store itself: the tree of nodes, with XenStore's permissions, transactions, watches and quotas, for backends that have no
 * xenstored.
 */
import type { DomId } from "./DomId.ts"
import type { Packet } from "./XenStoreWire.ts"

/** What one unprivileged domain may hold. */
export interface Quotas {
  readonly nodes: number
}

/** One client's connection. */
export interface StoreSession {
  readonly handle: (packet: Packet) => void
  readonly close: () => void
}

/** The store. */
export class XenStoreTree {
  constructor(_options?: { readonly quotas?: Partial<Quotas> }) {}

  connect(_domid: DomId, _emit: (packet: Packet) => void): StoreSession {
    throw new RangeError("not built yet")
  }

  introduce(_domid: DomId): void {
    throw new RangeError("not built yet")
  }

  release(_domid: DomId): void {
    throw new RangeError("not built yet")
  }

  stats(): { readonly nodes: number; readonly watches: number; readonly transactions: number; readonly domains: ReadonlyArray<DomId> } {
    throw new RangeError("not built yet")
  }
}
