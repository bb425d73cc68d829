/**
 * A service for many clients in many domains: each that asks, and is admitted, gets a vchan of its own.
 *
 * The listener belongs to its Scope: on its close no more clients can ask, all connections end, and the service's directory is removed. Each connection runs in a fiber
 * and a Scope of its own and ends with its handler. The peers are not trusted: what they create counts against their own quotas, and
 * a domain holds at most `maxPerDomain` connections. See Admission for the keys and who may do what with them.
 */
import { type DomId, type EventChannel, type GrantTable, ownDomid, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Deferred, type Duration, Effect, Fiber, FiberSet, Option, type Scope, Stream } from "effect"
import {
  answerPath,
  answersTo,
  anybody,
  crowded,
  isRequestId,
  type Refusal,
  requestsDirectory,
  serviceDirectory,
  writeRefusal
} from "./Admission.ts"
import { isRefusal, isUnseen, readmitInterval } from "./Advert.ts"
import { announcementOf } from "./Announcement.ts"
import { asVchanError } from "./asVchanError.ts"
import { offer, ordersFor } from "./Handshake.ts"
import { inTime } from "./inTime.ts"
import { claim, open, type Place, placesFor } from "./ServiceDirectory.ts"
import { transaction } from "./transaction.ts"
import type { Vchan } from "./Vchan.ts"
import { DomainGone, Replaced, VchanError } from "./VchanError.ts"

export { announced } from "./Announcement.ts"
export { connect, type ConnectOptions } from "./Connect.ts"

/** What to serve, and whom. */
export interface ListenerOptions<R> {
  /** The service's directory in the server's own tree: `data/rpc/echo`. It belongs to the listener. */
  readonly path: string
  /** The directory in the server's own tree that lists such services to those who may connect: none where nothing is said. */
  readonly index?: string | undefined
  /** Which domains may connect; others cannot even see that there is something. */
  readonly clients: "any" | ReadonlyArray<DomId>
  /** The least sizes in bytes of each connection's rings, at most 1 MiB; 256 KiB where nothing is said. */
  readonly leftMin?: number | undefined
  readonly rightMin?: number | undefined
  /** How many connections one domain may hold; 16 where nothing is said. Requests over it are refused. */
  readonly maxPerDomain?: number | undefined
  /** How long a client that asked may take to connect; 5 seconds where nothing is said. */
  readonly connectTimeout?: Duration.Input | undefined
  /** What to do with a connection. It ends when this does. */
  readonly handler: (vchan: Vchan) => Effect.Effect<void, never, R>
}

/** A running listener. */
export interface Listener {
  /**
   * Waits until no more clients can come, and tells why: the store is lost, it no longer serves this domain, or another listener of this domain
   * has the service's place: `Replaced`, which ends all connections of this one.
   */
  readonly ended: Effect.Effect<VchanError>
  /** Takes no more clients, for good: they wait for the next listener. The connections go on. Done where the Scope closes, too. */
  readonly close: Effect.Effect<void>
}

type Reason = VchanError["reason"]

/** Who asks, and where. */
interface Request {
  readonly key: string
  readonly place: Place
  readonly id: string
  readonly owner: DomId
}

/** A request that was answered. */
interface Answered extends Request {
  /** The request vanished, or the store did. */
  readonly gone: Deferred.Deferred<Reason>
  /** Whether the request's vanishing says something about its domain: not after the place where all may ask was removed. */
  telling: boolean
  /** The connection is over, and the request could not be removed. */
  over: boolean
  /** Not even rings could be offered. */
  short: boolean
}

/**
 * Starts to listen.
 *
 * Fails with what the store refuses; what a single client provokes ends that client's connection at most.
 */
export const make = <R>(
  options: ListenerOptions<R>
): Effect.Effect<Listener, VchanError, GrantTable | EventChannel | XenStore | Scope.Scope | R> =>
  Effect.gen(function*() {
    const { clients, connectTimeout = "5 seconds", handler, index, leftMin, maxPerDomain = 16, rightMin } = options
    if (!Number.isInteger(maxPerDomain) || maxPerDomain < 1) {
      return yield* Effect.die(new RangeError(`${maxPerDomain} is no number of connections to let a domain hold`))
    }
    const store = yield* XenStore
    const own = yield* ownDomid
    // Asked now, not when the first client comes.
    yield* ordersFor({ domid: own, path: options.path, leftMin, rightMin })
    const failed = asVchanError(own, options.path)
    const service = serviceDirectory(own, options.path)
    const requests = requestsDirectory(service)
    const answered = new Map<string, Answered>()
    /** Those that were refused and are still there. */
    const refused = new Map<string, Request>()
    const ending = yield* Deferred.make<VchanError>()
    const announcement = index === undefined ? undefined : announcementOf(own, index, service, clients)
    const places = new Map(placesFor(own, service, clients).map((place) => [place.name, place]))
    const claimed = yield* Effect.mapError(claim({ service, own, places: [...places.values()], announcement }), failed)
    const replaced = new VchanError({ domid: own, path: options.path, reason: new Replaced() })
    const unlessReplaced = Effect.flatMap(claimed.isHeld, (held) => held ? Effect.void : Effect.fail(replaced))
    const admits = (domid: DomId) => domid !== own && (clients === "any" || clients.includes(domid))

    const heldBy = (domid: DomId): number => {
      let held = 0
      for (const { owner } of answered.values()) if (owner === domid) held++
      return held
    }

    /** One connection, from the answer to the end of its handler. */
    const serve = Effect.fnUntraced(function*(entry: Answered) {
      const { gone, owner } = entry
      const { end } = yield* offer({ domid: owner, path: answerOf(entry), leftMin, rightMin, forC: false }).pipe(
        Effect.tapError(() => Effect.sync(() => void (entry.short = true)))
      )
      yield* Effect.forkScoped(Effect.map(Deferred.await(gone), (reason) => end.end(reason)))
      const vchan = yield* Effect.timeoutOption(end.accept, connectTimeout)
      if (Option.isSome(vchan)) yield* handler(vchan.value)
    })

    const answerOf = ({ id, owner }: Request) => answerPath(service, owner, id)

    /** A domain that holds no connection any more leaves no directory behind. */
    const tidy = (owner: DomId) =>
      Effect.suspend(() => {
        if (heldBy(owner) > 0) return Effect.void
        const directory = answersTo(service, owner)
        const tidied = transaction(
          store,
          (store) => Effect.flatMap(store.directory(directory), (answers) => answers.length === 0 ? store.remove(directory) : Effect.void)
        )
        return Effect.ignore(tidied)
      })

    const answer = Effect.fnUntraced(function*(request: Request) {
      const { key, owner } = request
      const entry: Answered = { ...request, gone: yield* Deferred.make<Reason>(), telling: true, over: false, short: false }
      answered.set(key, entry)
      const settle = Effect.gen(function*() {
        if (entry.short) {
          answered.delete(key)
          yield* refuse(request, "shortage")
        } else if ((yield* remove(request)) || Option.getOrUndefined(yield* ownerOf(key)) !== owner) {
          answered.delete(key)
        } else {
          // A client that gave the server no right to remove its request keeps it, and it counts.
          entry.over = true
        }
      })
      const cleanUp = Effect.map(inTime(Effect.andThen(settle, tidy(owner))), () => entry.over = true)
      yield* FiberSet.run(
        connections,
        serve(entry).pipe(
          Effect.scoped,
          Effect.catchCause((cause) => Effect.logDebug(`connection of domain ${owner} to ${service} ended`, cause)),
          Effect.ensuring(cleanUp)
        )
      )
    })

    /** Tells a client that it gets no connection. It reads that, and takes its request back: a domain has few such requests that stay. */
    const refuse = Effect.fnUntraced(function*(request: Request, refusal: Refusal) {
      const { key, owner } = request
      refused.set(key, request)
      const told = yield* Effect.isSuccess(writeRefusal(store, { own, client: owner, answer: answerOf(request), refusal }))
      // It may have gone before it was known to be refused.
      if (!told || !(yield* exists(store, key))) {
        yield* forget(request)
        return yield* remove(request)
      }
      const [oldest, ...others] = [...refused.values()].filter((other) => other.owner === owner)
      if (oldest === undefined || others.length < maxPerDomain) return
      yield* forget(oldest)
      yield* remove(oldest)
    })

    /** Takes a refusal back. */
    const forget = (request: Request) =>
      Effect.suspend(() => {
        refused.delete(request.key)
        return Effect.andThen(Effect.ignore(store.remove(answerOf(request))), tidy(request.owner))
      })

    const vanished = Effect.fnUntraced(function*(key: string, place: Place) {
      const refusal = refused.get(key)
      if (refusal !== undefined) yield* forget(refusal)
      const entry = answered.get(key)
      if (entry === undefined) return
      if (entry.over) answered.delete(key)
      // Where everybody may ask, everybody may remove the whole directory: then the requests in it say nothing about their owners.
      if (!(yield* exists(store, place.path))) yield* reopen(place)
      if (entry.telling) yield* Deferred.succeed(entry.gone, new DomainGone())
    })

    /** Makes a place anew that somebody removed. In one for all, what becomes of the requests that were there tells nothing any more. */
    const reopen = (place: Place) =>
      Effect.suspend(() => {
        if (place.name === anybody) { for (const entry of answered.values()) entry.telling = false }
        return Effect.andThen(unlessReplaced, open(store, place))
      })

    /** Removes a request; false where its client does not let the server. Such requests are not let fill the place where all may ask. */
    const remove = Effect.fnUntraced(function*({ key, place }: Request) {
      const removed = yield* store.remove(key).pipe(Effect.as(true), Effect.orElseSucceed(() => false))
      if (removed || place.name !== anybody) return removed
      const ids = yield* Effect.orElseSucceed(store.directory(place.path), () => [])
      if (ids.join().length < crowded) return false
      yield* Effect.ignore(Effect.andThen(store.remove(place.path), reopen(place)))
      return true
    })

    const ownerOf = (key: string) => Effect.map(seen(store.getPermissions(key)), Option.map(([{ domid }]) => domid))

    const look = Effect.fnUntraced(function*(place: Place, id: string) {
      const key = `${place.path}/${id}`
      const asking = yield* ownerOf(key)
      if (Option.isNone(asking)) return yield* vanished(key, place)
      const owner = asking.value
      // A privileged client's key belongs to the directory's owner until the client has given it another.
      if (owner === own || answered.has(key) || refused.has(key)) return
      const request: Request = { key, place, id, owner }
      if (!isRequestId(id) || !admits(owner)) return yield* remove(request)
      yield* heldBy(owner) < maxPerDomain ? answer(request) : refuse(request, "limit")
    })

    const lookAtAll = Effect.gen(function*() {
      yield* unlessReplaced
      const keys = new Set([...answered.keys(), ...refused.keys()])
      for (const place of places.values()) {
        const ids = yield* seen(store.directory(place.path))
        if (Option.isNone(ids)) yield* reopen(place)
        else for (const id of ids.value) keys.add(`${place.path}/${id}`)
      }
      yield* Effect.forEach(keys, changed, { discard: true })
    })

    const changed = (path: string): Effect.Effect<void, XenStoreError | VchanError, GrantTable | EventChannel | XenStore | R> => {
      const [name, id] = path.slice(requests.length + 1).split("/")
      const place = path.startsWith(`${requests}/`) && name !== undefined ? places.get(name) : undefined
      return place !== undefined && id !== undefined ? look(place, id) : lookAtAll
    }

    const connections = yield* FiberSet.make<void>()
    const watching = yield* store.watch(requests).pipe(
      Stream.runForEach((path) =>
        Effect.catchIf(
          changed(path),
          (error) => error._tag === "XenStoreError" && isRefusal(error),
          (error) => Effect.logWarning(`at ${path}`, error)
        )
      ),
      Effect.catch((error) =>
        Effect.sync(() => {
          for (const { gone } of answered.values()) Deferred.doneUnsafe(gone, Effect.succeed(error.reason))
          Deferred.doneUnsafe(ending, Effect.succeed(failed(error)))
        })
      ),
      Effect.forkScoped
    )
    // As for a single server: the store forgets what was granted to a domain that did not exist then.
    const readmit = Effect.suspend(() => {
      const known = new Set(Array.from(answered.values(), ({ owner }) => owner))
      const isUnknown = (domid: DomId | undefined) => domid !== undefined && !known.has(domid)
      const directories = [...places.values(), ...announcement?.places ?? []].filter(({ domid }) => isUnknown(domid))
      return Effect.forEach(directories, ({ path, permissions }) => Effect.ignore(store.setPermissions(path, permissions)), {
        discard: true
      })
    })
    if (clients !== "any") {
      yield* readmit.pipe(Effect.delay(readmitInterval), Effect.forever, Effect.raceFirst(Fiber.await(watching)), Effect.forkScoped)
    }
    const close = Effect.andThen(Fiber.interrupt(watching), claimed.close)
    // Before the connections end, for that may take long.
    yield* Effect.addFinalizer(() => close)
    return { ended: Deferred.await(ending), close }
  }).pipe(Effect.mapError(asVchanError(0, options.path)))

const seen = <A>(effect: Effect.Effect<A, XenStoreError>): Effect.Effect<Option.Option<A>, XenStoreError> =>
  effect.pipe(Effect.map(Option.some), Effect.catchIf(isUnseen, () => Effect.succeedNone))

const exists = (store: XenStoreAccess, path: string): Effect.Effect<boolean, XenStoreError> =>
  Effect.map(seen(store.getPermissions(path)), Option.isSome)
