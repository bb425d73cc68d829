/**
 * The hypervisor's part, played in one process: domains, who granted what to whom, which ports are bound, and what happens when a process
 * or a domain dies. It serves the backends that have no Xen below them.
 *
 * Pure bookkeeping: the pages and the events themselves belong to the embedder, which is told through {@link Machine} what to do. All that a
 * {@link Guest} holds ends with `leave`, as the Linux kernel ends what a dead process held; a domain ends with its last guest, except
 * domain 0.
 */
import { type DomId, isDomId } from "./DomId.ts"
import { Guest } from "./Guest.ts"
import { Grants } from "./internal/Grants.ts"
import { Ports } from "./internal/Ports.ts"
import type { Machine } from "./Machine.ts"
import { XenStoreTree } from "./XenStoreTree.ts"

/** How much a domain, and all together, may hold. */
export interface HypervisorLimits {
  readonly grantsPerDomain: number
  readonly grants: number
  readonly portsPerDomain: number
  readonly ports: number
}

/** Enough for 500 connections of one domain with rings of 256 KiB; Linux's gntalloc has 1024 grants unless told otherwise. */
export const defaultLimits: HypervisorLimits = {
  grantsPerDomain: 1 << 16,
  grants: 1 << 20,
  portsPerDomain: 4096,
  ports: 1 << 16
}

/** What all domains of a host hold now. */
export interface Holdings {
  readonly domains: ReadonlyArray<DomId>
  readonly grants: number
  readonly mappings: number
  readonly ports: number
}

/** The domains of one host, and its store. */
export class Hypervisor {
  readonly machine: Machine
  readonly store: XenStoreTree
  private readonly grants: Grants
  private readonly ports: Ports
  private readonly guests = new Map<DomId, Set<Guest>>([[0, new Set()]])
  private nextDomid: DomId = 1
  private nextGuest = 1

  constructor(
    options: { readonly machine: Machine; readonly limits?: Partial<HypervisorLimits> | undefined; readonly store?: XenStoreTree }
  ) {
    const limits = { ...defaultLimits, ...options.limits }
    this.machine = options.machine
    this.store = options.store ?? new XenStoreTree()
    this.grants = new Grants({ perDomain: limits.grantsPerDomain, total: limits.grants, freed: options.machine.free })
    this.ports = new Ports({ perDomain: limits.portsPerDomain, total: limits.ports })
  }

  /** A process joins a domain, which comes to be where it did not exist; without a domid it is a fresh domain. */
  enter(domid: DomId = this.freshDomid()): Guest {
    const guest = new Guest({
      id: this.nextGuest++,
      domid,
      machine: this.machine,
      grants: this.grants,
      ports: this.ports,
      left: () => this.left(guest)
    })
    const others = this.guests.get(domid)
    if (others === undefined) {
      this.guests.set(domid, new Set([guest]))
      this.store.introduce(domid)
    } else {
      others.add(guest)
    }
    return guest
  }

  /**
   * Destroys a domain with all its processes: no live byte changes and no event is sent. Returns the guests that were in it, whose `leave` is
   * still to be called once their processes have let go of their pages.
   */
  destroy(domid: DomId): ReadonlyArray<Guest> {
    const guests = this.guests.get(domid)
    if (guests === undefined || domid === 0) return []
    this.guests.delete(domid)
    for (const guest of guests) guest.drop()
    this.store.release(domid)
    return [...guests]
  }

  holdings(): Holdings {
    return {
      domains: [...this.guests.keys()],
      grants: this.grants.granted,
      mappings: this.grants.mappings,
      ports: this.ports.size
    }
  }

  private left(guest: Guest): void {
    const guests = this.guests.get(guest.domid)
    if (guests === undefined || !guests.delete(guest)) return
    if (guests.size > 0 || guest.domid === 0) return
    this.guests.delete(guest.domid)
    this.store.release(guest.domid)
  }

  private freshDomid(): DomId {
    while (this.guests.has(this.nextDomid) || !isDomId(this.nextDomid)) {
      this.nextDomid = isDomId(this.nextDomid + 1) ? this.nextDomid + 1 : 1
    }
    return this.nextDomid++
  }
}
