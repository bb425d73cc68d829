/**
 * The grant table: pages of one domain lent to another.
 *
 * A share or a mapping belongs to the Scope it was made in and ends with it. Ended memory must not be touched again: a backend may have
 * detached the buffer. A page that its owner no longer shares stays until its last mapping ends.
 */
import { Context, type Effect, type Scope } from "effect"
import type { DomId } from "./DomId.ts"
import type { GrantTableError } from "./XenError.ts"

/** The size of a page in bytes. */
export const pageSize = 4096

/** Throws a `RangeError` where `count` is not a whole number of pages, at least one. */
export const checkPageCount = (count: number): void => {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`${count} is no number of pages to share`)
}

/** The number by which another domain maps a granted page (`grant_ref_t`, public/grant_table.h). */
export type GrantReference = number

/**
 * What the hypervisor does when a share or a mapping ends, however it ends, `kill -9` included: clear one byte, then send an event
 * (`*_SET_UNMAP_NOTIFY`, xen/gntdev.h and xen/gntalloc.h).
 */
export interface UnmapNotify {
  /** The byte to clear, counted from the first page's start. */
  readonly clearByte: number
  /** The local port to send an event on. */
  readonly port: number
}

/** Memory that two domains see: whole pages, zeroed when shared. */
export interface SharedPages {
  readonly references: ReadonlyArray<GrantReference>
  /** The pages, one after the other. */
  readonly buffer: ArrayBuffer | SharedArrayBuffer
}

/** Granting pages to, and mapping pages of, other domains. */
export class GrantTable extends Context.Service<GrantTable, {
  /** Shares `count` fresh zeroed pages with `domid`, writable by it. Dies with a `RangeError` where that is no number of pages. */
  readonly share: (options: {
    readonly domid: DomId
    readonly count: number
    readonly notify?: UnmapNotify | undefined
  }) => Effect.Effect<SharedPages, GrantTableError, Scope.Scope>

  /** Maps pages that `domid` granted to this domain, in the order of `references`. */
  readonly map: (options: {
    readonly domid: DomId
    readonly references: ReadonlyArray<GrantReference>
    readonly writable: boolean
    readonly notify?: UnmapNotify | undefined
  }) => Effect.Effect<SharedPages, GrantTableError, Scope.Scope>
}>()("@vchan/xen/GrantTable") {}
