/**
 * One process of one domain, as the hypervisor's bookkeeping sees it: what it shares, what it has mapped, which ports it holds.
 *
 * Made by `Hypervisor.enter`, ended by `leave` (the process ended) or `drop` (its domain was destroyed).
 */
import { Result } from "effect"
import type { DomId } from "./DomId.ts"
import { checkPageCount, type GrantReference, type UnmapNotify } from "./GrantTable.ts"
import type { Grants, Mapping, Share } from "./internal/Grants.ts"
import type { PortEntry, Ports } from "./internal/Ports.ts"
import type { Machine } from "./Machine.ts"
import type { GrantsExhausted, NoSuchGrant, NoSuchPort, PortsExhausted, SystemRefusal } from "./XenError.ts"

interface Notified {
  readonly notify: UnmapNotify | undefined
}

/** A process of a domain. Its methods answer what the kernel's devices would. */
export class Guest {
  /** Unique on the host, never used again. */
  readonly id: number
  readonly domid: DomId
  private readonly machine: Machine
  private readonly grants: Grants
  private readonly table: Ports
  private readonly left: () => void
  private readonly shares = new Map<GrantReference, Notified & { readonly share: Share }>()
  private readonly mappings = new Map<number, Notified & { readonly mapping: Mapping }>()
  private readonly ports = new Map<number, PortEntry>()
  /** What the process may still touch though its domain is gone: it has not left yet. */
  private dropped: ReadonlyArray<Share> = []
  private nextMapping = 1

  constructor(options: {
    readonly id: number
    readonly domid: DomId
    readonly machine: Machine
    readonly grants: Grants
    readonly ports: Ports
    readonly left: () => void
  }) {
    this.id = options.id
    this.domid = options.domid
    this.machine = options.machine
    this.grants = options.grants
    this.table = options.ports
    this.left = options.left
  }

  /** Shares `count` pages with `domid`; their references follow each other from the first, which is returned. */
  share(domid: DomId, count: number, notify?: UnmapNotify): Result.Result<GrantReference, GrantsExhausted | SystemRefusal> {
    checkPageCount(count)
    return Result.flatMap(this.grants.share(this.domid, domid, count), (share) => {
      const refusal = this.machine.allocate(share.first, count)
      if (refusal !== undefined) {
        this.grants.end(share)
        this.grants.letGo([share])
        return Result.fail(refusal)
      }
      this.shares.set(share.first, { share, notify })
      return Result.succeed(share.first)
    })
  }

  /** Ends the share that begins at `first`. */
  endShare(first: GrantReference): void {
    const held = this.shares.get(first)
    if (held === undefined) return
    this.shares.delete(first)
    this.fire(first, held.notify)
    this.grants.end(held.share)
    this.grants.letGo([held.share])
  }

  /** Maps pages that `domid` granted to this domain; returns a number of this guest's to unmap them by. */
  map(domid: DomId, references: ReadonlyArray<GrantReference>, notify?: UnmapNotify): Result.Result<number, NoSuchGrant> {
    return Result.map(this.grants.map(this.domid, domid, references), (mapping) => {
      const id = this.nextMapping++
      this.mappings.set(id, { mapping, notify })
      return id
    })
  }

  unmap(id: number): void {
    const held = this.mappings.get(id)
    if (held === undefined) return
    this.mappings.delete(id)
    const first = held.mapping.references[0]
    if (first !== undefined) this.fire(first, held.notify)
    this.grants.unmap()
    this.grants.letGo(held.mapping.shares)
  }

  bindUnbound(domid: DomId): Result.Result<number, PortsExhausted> {
    return Result.map(this.table.bindUnbound(this.id, this.domid, domid), (entry) => this.hold(entry))
  }

  /** Binds to the other domain's unbound port. The local port starts with an event pending, as on Xen. */
  bindInterdomain(domid: DomId, port: number): Result.Result<number, NoSuchPort | PortsExhausted> {
    return Result.map(this.table.bindInterdomain(this.id, this.domid, domid, port), (entry) => {
      this.hold(entry)
      if (entry.peer !== undefined) this.machine.bound(entry.peer.port, entry.peer.guest, entry.port)
      this.machine.raise(entry.port)
      return entry.port
    })
  }

  unbind(port: number): void {
    const entry = this.ports.get(port)
    if (entry === undefined) return
    this.ports.delete(port)
    const other = entry.peer
    this.table.unbind(entry)
    this.machine.unbound(port)
    if (other !== undefined) this.machine.bound(other.port, other.guest, 0)
  }

  /** The process ends: live bytes are cleared and peers rung where a notify was asked for, then all it held is released. */
  leave(): void {
    for (const id of [...this.mappings.keys()]) this.unmap(id)
    for (const first of [...this.shares.keys()]) this.endShare(first)
    this.drop()
    this.grants.letGo(this.dropped)
    this.dropped = []
    this.left()
  }

  /**
   * Releases everything without a sign to any peer: so it looks when a whole domain is destroyed. The pages are lent to nobody else before
   * `leave`: on Xen the process would be gone, and here it has yet to be told.
   */
  drop(): void {
    const mapped = [...this.mappings.values()].flatMap(({ mapping }) => mapping.shares)
    for (const _ of this.mappings) this.grants.unmap()
    this.mappings.clear()
    for (const { share } of this.shares.values()) this.grants.end(share)
    this.dropped = [...this.dropped, ...mapped, ...Array.from(this.shares.values(), ({ share }) => share)]
    this.shares.clear()
    for (const port of [...this.ports.keys()]) this.unbind(port)
  }

  private hold(entry: PortEntry): number {
    this.ports.set(entry.port, entry)
    this.machine.bound(entry.port, this.id, entry.peer?.port ?? 0)
    return entry.port
  }

  private fire(first: GrantReference, notify: UnmapNotify | undefined): void {
    if (notify === undefined) return
    this.machine.clearByte(first, notify.clearByte)
    const peer = this.ports.get(notify.port)?.peer
    if (peer !== undefined) this.machine.raise(peer.port)
  }
}
