/**
 * What a domain serves, for those who may connect: an index of services in the server's own tree, `<index>/<place>/<service>`, where a place is
 * `any` or a domid.
 *
 * A place can be listed by whom it is for and by nobody else; the index itself by nobody. A listener writes its entries in the transaction that takes its
 * directory, and removes them with that. One that is killed leaves them: an entry says where to ask, and not that somebody answers.
 * Several processes of a domain share its index.
 */
import { type DomId, ownDomid, type Permissions, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Effect } from "effect"
import { anybody, closed, makeDirectory, serviceDirectory } from "./Admission.ts"
import { asVchanError, checkDomid } from "./asVchanError.ts"
import { isUnseen } from "./storeAnswers.ts"
import type { VchanError } from "./VchanError.ts"

/** One service's entries in its domain's index. */
export interface Announcement {
  readonly own: DomId
  readonly index: string
  readonly name: string
  readonly places: ReadonlyArray<{
    /** Whom it is for; undefined for everybody. */
    readonly domid: DomId | undefined
    readonly path: string
    readonly permissions: Permissions
  }>
}

/** Those of the service at that path. */
export const announcementOf = (own: DomId, index: string, service: string, clients: "any" | ReadonlyArray<DomId>): Announcement => {
  const directory = serviceDirectory(own, index)
  return {
    own,
    index: directory,
    name: service.slice(service.lastIndexOf("/") + 1),
    places: clients === "any"
      ? [{ domid: undefined, path: `${directory}/${anybody}`, permissions: [{ domid: own, access: "r" }] }]
      : clients.map((domid) => ({ domid, path: `${directory}/${domid}`, permissions: [...closed(own), { domid, access: "r" }] }))
  }
}

/** Writes the entries, and removes what another listener of that service left for others. */
export const announce = Effect.fnUntraced(
  function*(store: XenStoreAccess, announcement: Announcement): Effect.fn.Return<void, XenStoreError> {
    const { index, name, own, places } = announcement
    yield* makeDirectory(store, index, closed(own))
    const admitted = new Set(places.map(({ path }) => path))
    const others = (yield* names(store, index)).map((place) => `${index}/${place}`).filter((path) => !admitted.has(path))
    yield* Effect.forEach(others, (path) => removeFrom(store, path, name), atOnce)
    yield* Effect.forEach(
      places,
      ({ path, permissions }) => Effect.andThen(makeDirectory(store, path, permissions), store.makeDirectory(`${path}/${name}`)),
      atOnce
    )
  }
)

/** Removes the entries, and what is empty without them. */
export const withdraw = Effect.fnUntraced(
  function*(store: XenStoreAccess, announcement: Announcement): Effect.fn.Return<void, XenStoreError> {
    const { index, name, places } = announcement
    yield* Effect.forEach(places, ({ path }) => removeFrom(store, path, name), atOnce)
    if ((yield* names(store, index)).length === 0) yield* store.remove(index)
  }
)

/** Each takes its way to the store and back: one after the other they would take long. */
const atOnce = { concurrency: "unbounded", discard: true } as const

const removeFrom = Effect.fnUntraced(function*(store: XenStoreAccess, place: string, name: string) {
  const services = yield* names(store, place)
  if (services.includes(name)) yield* store.remove(services.length === 1 ? place : `${place}/${name}`)
})

/** The names in a directory; none where it is not there, or not for this domain. */
const names = (store: XenStoreAccess, path: string): Effect.Effect<ReadonlyArray<string>, XenStoreError> =>
  Effect.catchIf(store.directory(path), isUnseen, () => Effect.succeed([]))

/**
 * The names of the services that a domain announces to this one in that index, in order. A name is the other domain's word: whether anybody serves
 * there, only connecting tells.
 */
export const announced = (options: {
  /** The domain that serves. */
  readonly domid: DomId
  /** As the server names it: absolute, or relative to the server's own tree. */
  readonly index: string
}): Effect.Effect<ReadonlyArray<string>, VchanError, XenStore> =>
  Effect.gen(function*() {
    yield* checkDomid(options.domid)
    const store = yield* XenStore
    const index = serviceDirectory(options.domid, options.index)
    const places = [anybody, String(yield* ownDomid)]
    const found = yield* Effect.forEach(places, (place) => names(store, `${index}/${place}`), { concurrency: "unbounded" })
    return [...new Set(found.flat())].sort()
  }).pipe(Effect.mapError(asVchanError(options.domid, options.index)))
