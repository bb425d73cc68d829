/**
 * Which pages are granted by whom to whom, and who has them mapped: the hypervisor's grant table without the pages.
 *
 * A share ends with its owner's word, a mapping with its mapper's. The references are lent anew only once all of them have let go of the
 * pages too.
 */
import { Result } from "effect"
import type { DomId } from "../DomId.ts"
import type { GrantReference } from "../GrantTable.ts"
import { GrantsExhausted, NoSuchGrant } from "../XenError.ts"
import { Runs } from "./Runs.ts"

/** Consecutive pages shared in one go. */
export interface Share {
  readonly owner: DomId
  readonly grantee: DomId
  readonly first: GrantReference
  readonly count: number
  ended: boolean
  /** How many may still touch its pages: its owner, and each mapping. */
  holders: number
}

/** Pages of other domains mapped in one go. */
export interface Mapping {
  readonly references: ReadonlyArray<GrantReference>
  readonly shares: ReadonlyArray<Share>
}

/** The first reference given out: those below are Xen's own (`GNTTAB_NR_RESERVED_ENTRIES`). */
const firstReference = 8

/** The table of all domains of one host. References are unique on the host, not only in their domain. */
export class Grants {
  private readonly runs: Runs
  private readonly byReference = new Map<GrantReference, Share>()
  private readonly held = new Map<DomId, number>()
  private readonly perDomain: number
  private readonly freed: (first: GrantReference, count: number) => void
  mappings = 0

  constructor(options: {
    readonly perDomain: number
    readonly total: number
    /** Called when nobody holds a page any more. */
    readonly freed: (first: GrantReference, count: number) => void
  }) {
    this.runs = new Runs(firstReference, options.total)
    this.perDomain = options.perDomain
    this.freed = options.freed
  }

  /** How many references are granted. */
  get granted(): number {
    let sum = 0
    for (const count of this.held.values()) sum += count
    return sum
  }

  share(owner: DomId, grantee: DomId, count: number): Result.Result<Share, GrantsExhausted> {
    const held = this.held.get(owner) ?? 0
    const first = held + count > this.perDomain ? undefined : this.runs.take(count)
    if (first === undefined) return Result.fail(new GrantsExhausted({ limit: this.perDomain }))
    const share: Share = { owner, grantee, first, count, ended: false, holders: 1 }
    for (let reference = first; reference < first + count; reference++) this.byReference.set(reference, share)
    this.held.set(owner, held + count)
    return Result.succeed(share)
  }

  /** Nobody may map it from now on. */
  end(share: Share): void {
    share.ended = true
    const left = (this.held.get(share.owner) ?? 0) - share.count
    if (left === 0) this.held.delete(share.owner)
    else this.held.set(share.owner, left)
  }

  map(mapper: DomId, domid: DomId, references: ReadonlyArray<GrantReference>): Result.Result<Mapping, NoSuchGrant> {
    const shares: Array<Share> = []
    for (const reference of references) {
      const share = this.byReference.get(reference)
      if (share === undefined || share.ended || share.owner !== domid || share.grantee !== mapper) {
        return Result.fail(new NoSuchGrant({ domid, reference }))
      }
      shares.push(share)
    }
    for (const share of shares) share.holders++
    this.mappings++
    return Result.succeed({ references, shares })
  }

  /** A mapping ends. */
  unmap(): void {
    this.mappings--
  }

  /** Who had ended these shares, or mappings of them, does not touch the pages any more. */
  letGo(shares: ReadonlyArray<Share>): void {
    for (const share of shares) {
      if (--share.holders > 0) continue
      for (let reference = share.first; reference < share.first + share.count; reference++) this.byReference.delete(reference)
      this.runs.give(share.first, share.count)
      this.freed(share.first, share.count)
    }
  }
}
