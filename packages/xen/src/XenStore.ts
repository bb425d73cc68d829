/**
 * XenStore: the small shared tree in which domains meet.
 *
 * Paths are absolute (`/local/domain/3/data`) or relative to the own domain (`data`). A watch belongs to the stream that reads it, a
 * transaction to the body that runs in it; both are gone when those end, however they end. Values are text in UTF-8.
 */
import { Context, Effect, Schema, type Stream } from "effect"
import { DomId } from "./DomId.ts"
import { StoreProtocol, XenStoreError } from "./XenError.ts"

/** What a domain may do with a node: `n` nothing, `r` read, `w` write, `b` both. */
export type Access = "n" | "r" | "w" | "b"

/** One entry of a node's permissions: in the first, `domid` is the owner and `access` is what everybody else may do. */
export interface Permission {
  readonly domid: DomId
  readonly access: Access
}

/** A node's permissions, owner first. */
export type Permissions = readonly [owner: Permission, ...others: ReadonlyArray<Permission>]

/** Reading and writing the tree, in a transaction or outside any. */
export interface XenStoreAccess {
  readonly read: (path: string) => Effect.Effect<string, XenStoreError>
  /** Creates the node and its missing parents where needed. */
  readonly write: (path: string, value: string) => Effect.Effect<void, XenStoreError>
  readonly makeDirectory: (path: string) => Effect.Effect<void, XenStoreError>
  /** Removes a node with all below it; nothing happens where it is missing and its parent is not. */
  readonly remove: (path: string) => Effect.Effect<void, XenStoreError>
  /** The names of a node's children. */
  readonly directory: (path: string) => Effect.Effect<ReadonlyArray<string>, XenStoreError>
  readonly getPermissions: (path: string) => Effect.Effect<Permissions, XenStoreError>
  readonly setPermissions: (path: string, permissions: Permissions) => Effect.Effect<void, XenStoreError>
}

/** The store as one domain sees it (docs/misc/xenstore.txt in Xen's sources). */
export class XenStore extends Context.Service<
  XenStore,
  XenStoreAccess & {
    /**
     * The paths that change at or below `path`, starting with one event at once for `path` itself. Events can be merged or come unasked.
     * Fails with `HostLost` when the store goes away.
     */
    readonly watch: (path: string) => Stream.Stream<string, XenStoreError>
    /**
     * Runs `body` in a transaction and commits it; runs it again for as long as the store answers that somebody else was faster (EAGAIN).
     * A body that fails or is interrupted leaves the store as it was.
     */
    readonly transaction: <A, E, R>(
      body: (store: XenStoreAccess) => Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | XenStoreError, R>
    /** Whether the domain lives. Privileged: other domains get EACCES. */
    readonly isIntroduced: (domid: DomId) => Effect.Effect<boolean, XenStoreError>
  }
>()("@vchan/xen/XenStore") {}

/** The domid of the domain that this program runs in, as the store tells it (the relative key `domid`). */
export const ownDomid: Effect.Effect<DomId, XenStoreError, XenStore> = Effect.gen(function*() {
  const store = yield* XenStore
  const text = yield* store.read("domid")
  return yield* Schema.decodeEffect(Schema.NumberFromString.pipe(Schema.decodeTo(DomId)))(text).pipe(
    Effect.mapError(() =>
      new XenStoreError({
        reason: new StoreProtocol({ operation: "READ", path: "domid", detail: `${JSON.stringify(text)} is no domid` })
      })
    )
  )
})
