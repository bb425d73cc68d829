/**
 * A service's directory while a listener has it: made anew when the listener begins, closed to new clients when it ends, and removed when its
 * last connection is over.
 *
 * It belongs to the Scope in which it was taken, unless another listener has taken it since. No transaction touches what a client may write:
 * a client could make it conflict for as long as it likes.
 */
import { type DomId, type Permissions, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Effect, Option, type Scope } from "effect"
import { answersDirectory, anybody, closed, makeDirectory, placePath, randomId, requestsDirectory } from "./Admission.ts"
import { announce, announcementOf, withdraw } from "./Announcement.ts"
import { inTime } from "./inTime.ts"
import { isUnseen, readKey } from "./storeAnswers.ts"
import { transaction } from "./transaction.ts"
import { Replaced, VchanError } from "./VchanError.ts"

/** Where a domain may ask, or all may knock. */
export interface Place {
  /** Who may; undefined for everybody. */
  readonly domid: DomId | undefined
  readonly name: string
  readonly path: string
  readonly permissions: Permissions
}

/** A directory that was taken. */
export interface ServiceDirectory {
  /** The places that are open, by name. */
  readonly places: ReadonlyMap<string, Place>
  /** Fails with `Replaced` where another listener has taken the directory since. */
  readonly unlessReplaced: Effect.Effect<void, XenStoreError | VchanError>
  /** Makes a place anew that somebody removed. */
  readonly reopen: (place: Place) => Effect.Effect<void, XenStoreError | VchanError>
  /** Opens a place of its own for a domain that came by itself. */
  readonly letIn: (domid: DomId) => Effect.Effect<void, XenStoreError>
  /** Takes such a place away where nothing is in it. */
  readonly dismiss: (domid: DomId) => Effect.Effect<void, XenStoreError>
  /** Lets those in again who may not have been there when they were named, but not where somebody is known to be. */
  readonly readmit: (isKnown: (domid: DomId) => boolean) => Effect.Effect<void>
  /** Lets nobody ask any more: who has asked and got no answer, and who comes now, waits for the next listener. */
  readonly close: Effect.Effect<void>
}

const atOnce = { concurrency: "unbounded", discard: true } as const

const open = (store: XenStoreAccess, { path, permissions }: Place) => makeDirectory(store, path, permissions)

/** Takes a service's directory, whoever had it before. */
export const claim = Effect.fnUntraced(function*(options: {
  readonly service: string
  readonly own: DomId
  readonly clients: "any" | ReadonlyArray<DomId>
  /** Where the service is announced, if it is. */
  readonly index: string | undefined
}): Effect.fn.Return<ServiceDirectory, XenStoreError, XenStore | Scope.Scope> {
  const { clients, index, own, service } = options
  const store = yield* XenStore
  const token = yield* randomId
  const key = `${service}/listener`
  const requests = requestsDirectory(service)
  const announcement = index === undefined ? undefined : announcementOf(own, index, service, clients)

  const placeFor = (domid: DomId | undefined): Place => ({
    domid,
    name: String(domid ?? anybody),
    path: placePath(service, domid ?? anybody),
    permissions: domid === undefined ? [{ domid: own, access: "b" }] : [...closed(own), { domid, access: "b" }]
  })
  const places = new Map((clients === "any" ? [undefined] : clients).map(placeFor).map((place) => [place.name, place]))

  const isHeld = (store: XenStoreAccess) => Effect.map(readKey(store, key), Option.contains(token))
  const ifHeld = (store: XenStoreAccess, use: Effect.Effect<void, XenStoreError>) =>
    Effect.flatMap(isHeld(store), (held) => held ? use : Effect.void)
  const replaced = new VchanError({ domid: own, path: service, reason: new Replaced() })
  const unlessReplaced = Effect.flatMap(isHeld(store), (held) => held ? Effect.void : Effect.fail(replaced))

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
      yield* Effect.forEach(places.values(), (place) => open(store, place), atOnce)
      if (announcement !== undefined) yield* announce(store, announcement)
    })
  )

  return {
    places,
    unlessReplaced,
    reopen: (place) =>
      Effect.suspend(() => places.get(place.name) === place ? Effect.andThen(unlessReplaced, open(store, place)) : Effect.void),
    letIn: (domid) =>
      Effect.suspend(() => {
        const place = places.get(String(domid)) ?? placeFor(domid)
        places.set(place.name, place)
        // Though it is there: on Xen its permissions may be those of a domain that had the domid before.
        return open(store, place)
      }),
    dismiss: Effect.fnUntraced(function*(domid) {
      const place = places.get(String(domid))
      if (clients !== "any" || place === undefined || (yield* store.directory(place.path)).length > 0) return
      places.delete(place.name)
      yield* store.remove(place.path)
    }),
    // As for a single server: the store forgets what was granted to a domain that did not exist then.
    readmit: (isKnown) =>
      Effect.suspend(() => {
        const unknown = [...places.values(), ...announcement?.places ?? []].filter(({ domid }) => domid !== undefined && !isKnown(domid))
        return Effect.forEach(unknown, ({ path, permissions }) => Effect.ignore(store.setPermissions(path, permissions)), { discard: true })
      }),
    close: Effect.asVoid(inTime(Effect.gen(function*() {
      if (announcement !== undefined) yield* transaction(store, (store) => ifHeld(store, withdraw(store, announcement)))
      // A successor that takes the directory just now finds that its places are gone, and opens them again.
      yield* ifHeld(store, store.remove(requests))
    })))
  }
})
