/**
 * Which event-channel ports exist, for whom, and what they are bound to: the hypervisor's port table without the events.
 *
 * A port ends when its owner unbinds it; the port at its other end then waits unbound for the same domain again, as on Xen.
 */
import { Result } from "effect"
import type { DomId } from "../DomId.ts"
import { NoSuchPort, PortsExhausted } from "../XenError.ts"

/** A port of a domain: who may be, and who is, at the other end. */
export interface PortEntry {
  readonly port: number
  /** The process that bound it. */
  readonly guest: number
  readonly owner: DomId
  readonly remote: DomId
  peer: PortEntry | undefined
}

/** The table of all domains of one host. Port numbers are unique on the host, not only in their domain. */
export class Ports {
  private readonly byNumber = new Map<number, PortEntry>()
  private readonly held = new Map<DomId, number>()
  private readonly perDomain: number
  private readonly total: number
  private next = 1

  constructor(options: { readonly perDomain: number; readonly total: number }) {
    this.perDomain = options.perDomain
    this.total = options.total
  }

  /** How many ports exist. */
  get size(): number {
    return this.byNumber.size
  }

  bindUnbound(guest: number, owner: DomId, remote: DomId): Result.Result<PortEntry, PortsExhausted> {
    const held = this.held.get(owner) ?? 0
    const port = held >= this.perDomain ? undefined : this.fresh()
    if (port === undefined) return Result.fail(new PortsExhausted({ limit: this.perDomain }))
    const entry: PortEntry = { port, guest, owner, remote, peer: undefined }
    this.byNumber.set(port, entry)
    this.held.set(owner, held + 1)
    return Result.succeed(entry)
  }

  bindInterdomain(
    guest: number,
    owner: DomId,
    remote: DomId,
    port: number
  ): Result.Result<PortEntry, NoSuchPort | PortsExhausted> {
    const other = this.byNumber.get(port)
    if (other === undefined || other.owner !== remote || other.remote !== owner || other.peer !== undefined) {
      return Result.fail(new NoSuchPort({ domid: remote, port }))
    }
    return Result.map(this.bindUnbound(guest, owner, remote), (entry) => {
      entry.peer = other
      other.peer = entry
      return entry
    })
  }

  unbind(entry: PortEntry): void {
    if (this.byNumber.get(entry.port) !== entry) return
    this.byNumber.delete(entry.port)
    const left = (this.held.get(entry.owner) ?? 0) - 1
    if (left === 0) this.held.delete(entry.owner)
    else this.held.set(entry.owner, left)
    if (entry.peer !== undefined) entry.peer.peer = undefined
  }

  /** Port numbers go round, so that one just closed is not at once another's. */
  private fresh(): number | undefined {
    if (this.byNumber.size >= this.total - 1) return undefined
    while (this.byNumber.has(this.next)) this.next = this.following(this.next)
    const port = this.next
    this.next = this.following(port)
    return port
  }

  private following(port: number): number {
    return port + 1 < this.total ? port + 1 : 1
  }
}
