/**
 * How a server tells where its rings are: two keys in XenStore, `<path>/ring-ref` and `<path>/event-channel`.
 *
 * The server writes both in one transaction, readable by its client alone, and removes them with its Scope, unless a successor has
 * written its own there since.
 */
import { type DomId, type GrantReference, type Permissions, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Effect, Option, type Scope } from "effect"
import { inTime } from "./inTime.ts"
import { isUnseen, readKey } from "./storeAnswers.ts"
import { transaction } from "./transaction.ts"
import { BadAdvert, VchanError } from "./VchanError.ts"

/** What both keys say. */
export interface Advert {
  readonly ringRef: GrantReference
  readonly eventChannel: number
}

/** The longest path that libxenvchan uses uncut: it builds its keys in a buffer of 64 bytes. */
export const longestPath = 49

const ringRefKey = (path: string): string => `${path}/ring-ref`

/** The key that is written last and watched by clients. */
export const eventChannelKey = (path: string): string => `${path}/event-channel`

/** Decimal, not 0, as a u32: libxenvchan takes 0 for a failure. */
const parse = (text: string): number | undefined => {
  const value = /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : 0
  return value > 0 && value <= 0xFFFFFFFF ? value : undefined
}

/** Reads what a server advertises; none where one of the keys is not there yet. */
export const read = Effect.fnUntraced(function*(domid: DomId, path: string) {
  const store = yield* XenStore
  const keys = [ringRefKey(path), eventChannelKey(path)] as const
  const texts = Option.all(yield* Effect.all([readKey(store, keys[0]), readKey(store, keys[1])], { concurrency: "unbounded" }))
  if (Option.isNone(texts)) return Option.none<Advert>()
  const number = (key: string, value: string) => {
    const parsed = parse(value)
    return parsed === undefined
      ? Effect.fail(new VchanError({ domid, path, reason: new BadAdvert({ key, value }) }))
      : Effect.succeed(parsed)
  }
  return Option.some<Advert>({
    ringRef: yield* number(keys[0], texts.value[0]),
    eventChannel: yield* number(keys[1], texts.value[1])
  })
})

/** Who may read the keys. */
const permissionsFor = (own: DomId, domid: DomId): Permissions => [{ domid: own, access: "n" }, { domid, access: "r" }]

/**
 * Grants the client again what it may read: the store forgets permissions of a domain that did not exist when they were given, or
 * was destroyed since.
 */
export const readmit = Effect.fnUntraced(function*(path: string, own: DomId, domid: DomId) {
  const store = yield* XenStore
  for (const key of [ringRefKey(path), eventChannelKey(path)]) yield* Effect.ignore(store.setPermissions(key, permissionsFor(own, domid)))
})

/** How often that is done while no client is there: nothing tells an unprivileged server that a domain has come to be. */
export const readmitInterval = "1 second"

/** Advertises for as long as the Scope lives. */
export const publish = Effect.fnUntraced(function*(options: {
  readonly path: string
  readonly own: DomId
  readonly domid: DomId
  readonly advert: Advert
}): Effect.fn.Return<void, XenStoreError, XenStore | Scope.Scope> {
  const { advert, domid, own, path } = options
  const store = yield* XenStore
  const permissions = permissionsFor(own, domid)
  const entries = [[ringRefKey(path), String(advert.ringRef)], [eventChannelKey(path), String(advert.eventChannel)]] as const
  let created = false
  // Registered first: where the transaction is interrupted, nobody knows whether it was committed. It removes no more than its own.
  yield* Effect.addFinalizer(() => inTime(transaction(store, (store) => withdraw(store, path, entries, created))))
  yield* transaction(
    store,
    Effect.fnUntraced(function*(store) {
      created = yield* store.directory(path).pipe(Effect.as(false), Effect.catchIf(isUnseen, () => Effect.succeed(true)))
      yield* Effect.forEach(entries, ([key, value]) => Effect.andThen(store.write(key, value), store.setPermissions(key, permissions)), {
        concurrency: "unbounded",
        discard: true
      })
    })
  )
})

const withdraw = Effect.fnUntraced(function*(
  store: XenStoreAccess,
  path: string,
  entries: ReadonlyArray<readonly [key: string, value: string]>,
  created: boolean
) {
  const present = yield* Effect.forEach(entries, ([key]) => readKey(store, key), { concurrency: "unbounded" })
  const ours = entries.every(([, value], at) => Option.contains(present[at] ?? Option.none(), value))
  if (!ours) return
  const others = created ? (yield* store.directory(path)).length - entries.length : 1
  if (others === 0) return yield* store.remove(path)
  yield* Effect.forEach(entries, ([key]) => store.remove(key), { concurrency: "unbounded", discard: true })
})
