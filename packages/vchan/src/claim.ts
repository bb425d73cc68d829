/**
 * A service's place in XenStore, which the last listener that came holds: one that was killed cannot give it back.
 *
 * It belongs to the Scope: on its close the directories and the announcement are removed, unless another listener holds the place by then.
 */
import { type DomId, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Effect, Option } from "effect"
import { answersDirectory, closed, makeDirectory, randomId, requestsDirectory } from "./Admission.ts"
import { readKey } from "./Advert.ts"
import { announce, type Announcement, withdraw } from "./Announcement.ts"
import { inTime } from "./inTime.ts"
import { transaction } from "./transaction.ts"

/** Makes the service's directories, and gives what tells whether the place is still this listener's. */
export const claim = Effect.fnUntraced(function*(
  service: string,
  own: DomId,
  names: ReadonlyArray<string>,
  openPlaces: (store: XenStoreAccess) => Effect.Effect<void, XenStoreError>,
  announcement: Announcement | undefined
) {
  const store = yield* XenStore
  const token = yield* randomId
  const key = `${service}/listener`
  const requests = requestsDirectory(service)
  const isHeld = (store: XenStoreAccess) => Effect.map(readKey(store, key), Option.contains(token))
  yield* Effect.addFinalizer(() =>
    inTime(transaction(
      store,
      Effect.fnUntraced(function*(store) {
        if (!(yield* isHeld(store))) return
        const withdrawn = announcement === undefined ? Effect.void : withdraw(store, announcement)
        yield* Effect.all([store.remove(service), withdrawn], { concurrency: "unbounded", discard: true })
      })
    ))
  )
  yield* transaction(
    store,
    Effect.fnUntraced(function*(store) {
      yield* makeDirectory(store, service, closed(own))
      yield* store.write(key, token)
      // A listener that was killed left its answers, and maybe places for others. Requests stay: their clients may still wait.
      yield* store.remove(answersDirectory(service))
      yield* makeDirectory(store, answersDirectory(service), closed(own))
      yield* makeDirectory(store, requests, closed(own))
      const stale = (yield* store.directory(requests)).filter((name) => !names.includes(name))
      yield* Effect.forEach(stale, (name) => store.remove(`${requests}/${name}`), { discard: true })
      yield* openPlaces(store)
      if (announcement !== undefined) yield* announce(store, announcement)
    })
  )
  return isHeld(store)
})
