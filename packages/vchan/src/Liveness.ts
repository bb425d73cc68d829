/**
 * How a side learns that its peer's whole domain is gone: no live byte changes then and no event comes, so XenStore has to tell.
 *
 * Each source is an Effect that ends with the reason when the peer is gone, and otherwise runs for as long as it is let.
 */
import { type DomId, XenStore, type XenStoreError } from "@vchan/xen"
import { Effect, Option, Stream } from "effect"
import { isOutOfWatches, isRefusal, readKey } from "./storeAnswers.ts"
import { DomainGone, type VchanError } from "./VchanError.ts"

type Reason = VchanError["reason"]

/** How often a key is looked at where this domain has no watch left to spend on it. */
const lookInterval = "1 second"

/** Waits until a key is gone that goes with the peer: in its tree, or owned by it. */
export const keyGone = (key: string): Effect.Effect<Reason, never, XenStore> =>
  Effect.gen(function*() {
    const store = yield* XenStore
    const looks = Stream.catchIf(store.watch(key), isOutOfWatches, () => Stream.tick(lookInterval))
    return yield* firstReason(looks, Effect.map(readKey(store, key), Option.isNone))
  })

/**
 * Waits until the hypervisor says that a domain that was there is gone; one that never came is waited for. It tells privileged domains
 * only; elsewhere this source stays silent, except that it notices when the store is lost.
 */
export const domainGone = (domid: DomId): Effect.Effect<Reason, never, XenStore> =>
  Effect.gen(function*() {
    const store = yield* XenStore
    let present = false
    const gone = Effect.map(store.isIntroduced(domid), (introduced) => {
      const was = present
      present = introduced
      return was && !introduced
    })
    const privileged = yield* Effect.isSuccess(gone)
    const releases = store.watch("@releaseDomain")
    return yield* firstReason(privileged ? Stream.merge(releases, store.watch("@introduceDomain")) : releases, gone)
  })

/** Looks at each event, by a loop and not by a pipeline of streams: every connection holds one for as long as it is open. */
const firstReason = (looks: Stream.Stream<unknown, XenStoreError>, gone: Effect.Effect<boolean, XenStoreError>): Effect.Effect<Reason> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(looks)
    for (let over = false; !over;) {
      yield* pull
      // A refusal tells nothing: the peer may live.
      over = yield* Effect.catchIf(gone, isRefusal, () => Effect.succeed(false))
    }
    return new DomainGone()
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => error._tag === "XenStoreError" && !isRefusal(error) ? Effect.succeed<Reason>(error.reason) : Effect.never)
  )
