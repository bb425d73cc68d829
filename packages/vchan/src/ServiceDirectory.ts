/**
 * A service's directory while a listener has it: made anew when the listener begins, closed to new clients when it ends, and removed when its
 * last connection is over.
 *
 * It belongs to the Scope in which it was taken, unless another listener has taken it since. No transaction touches what a client may write:
 * a client could make it conflict for as long as it likes.
 */
import { type DomId, type Permissions, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Effect, Option, type Scope } from "effect"
import { answersDirectory, anybody, closed, makeDirectory, randomId, requestsDirectory } from "./Admission.ts"
import { isUnseen, readKey } from "./Advert.ts"
import { announce, type Announcement, withdraw } from "./Announcement.ts"
import { inTime } from "./inTime.ts"
import { transaction } from "./transaction.ts"

/** Where some domains may ask. */
export interface Place {
  /** Who may; undefined for everybody. */
  readonly domid: DomId | undefined
  readonly name: string
  readonly path: string
  readonly permissions: Permissions
}

/** The places of a service for these clients. */
export const placesFor = (own: DomId, service: string, clients: "any" | ReadonlyArray<DomId>): ReadonlyArray<Place> => {
  const at = (name: string) => ({ name, path: `${requestsDirectory(service)}/${name}` })
  return clients === "any"
    ? [{ ...at(anybody), domid: undefined, permissions: [{ domid: own, access: "b" }] }]
    : clients.map((domid) => ({ ...at(String(domid)), domid, permissions: [...closed(own), { domid, access: "b" }] }))
}

/** Makes a place, or one anew that somebody removed. */
export const open = (store: XenStoreAccess, { path, permissions }: Place): Effect.Effect<void, XenStoreError> =>
  makeDirectory(store, path, permissions)

/** A directory that was taken. */
export interface Claimed {
  /** Whether no other listener has taken it since. */
  readonly isHeld: Effect.Effect<boolean, XenStoreError>
  /** Lets nobody ask any more: who has asked and got no answer, and who comes now, waits for the next listener. */
  readonly close: Effect.Effect<void>
}

/** Takes a service's directory, whoever had it before. */
export const claim = Effect.fnUntraced(function*(options: {
  readonly service: string
  readonly own: DomId
  readonly places: ReadonlyArray<Place>
  readonly announcement: Announcement | undefined
}): Effect.fn.Return<Claimed, XenStoreError, XenStore | Scope.Scope> {
  const { announcement, own, places, service } = options
  const store = yield* XenStore
  const token = yield* randomId
  const key = `${service}/listener`
  const requests = requestsDirectory(service)
  const isHeld = (store: XenStoreAccess) => Effect.map(readKey(store, key), Option.contains(token))
  const ifHeld = (store: XenStoreAccess, use: Effect.Effect<void, XenStoreError>) =>
    Effect.flatMap(isHeld(store), (held) => held ? use : Effect.void)
  yield* Effect.addFinalizer(() => inTime(transaction(store, (store) => ifHeld(store, store.remove(service)))))
  // What a listener left that was killed: its answers lead nowhere, and whose requests go will ask anew.
  yield* Effect.catchIf(store.remove(service), isUnseen, () => Effect.void)
  yield* transaction(
    store,
    Effect.fnUntraced(function*(store) {
      yield* makeDirectory(store, service, closed(own))
      yield* store.write(key, token)
      yield* makeDirectory(store, answersDirectory(service), closed(own))
      yield* makeDirectory(store, requests, closed(own))
      yield* Effect.forEach(places, (place) => open(store, place), { concurrency: "unbounded", discard: true })
      if (announcement !== undefined) yield* announce(store, announcement)
    })
  )
  return {
    isHeld: isHeld(store),
    close: Effect.asVoid(inTime(Effect.gen(function*() {
      if (announcement !== undefined) yield* transaction(store, (store) => ifHeld(store, withdraw(store, announcement)))
      // A successor that takes the directory just now finds that its places are gone, and opens them again.
      yield* ifHeld(store, store.remove(requests))
    })))
  }
})
