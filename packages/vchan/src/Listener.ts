/**
 * A service for many clients in many domains: each that asks, and is admitted, gets a vchan of its own.
 *
 * The listener belongs to its Scope: on its close no more clients can ask, all connections end, and the service's directory is removed. Each
 * connection runs in a fiber and a Scope of its own and ends with its handler. The peers are not trusted: what they create counts against their
 * own quotas, and a domain holds at most `maxPerDomain` connections. See Admission for the keys and who may do what with them, and
 * ServiceDirectory for where they lie.
 */
import { type DomId, type EventChannel, type GrantTable, ownDomid, XenStore } from "@vchan/xen"
import { Deferred, type Duration, Effect, Fiber, FiberSet, Latch, Option, type Scope, Stream } from "effect"
import {
  answerPath,
  answersTo,
  crowded,
  isRequestId,
  type Refusal,
  requestsDirectory,
  serviceDirectory,
  writeRefusal
} from "./Admission.ts"
import { readmitInterval } from "./Advert.ts"
import { asVchanError } from "./asVchanError.ts"
import { ChangedPlaces, type Turn } from "./ChangedPlaces.ts"
import { offer, ordersFor } from "./Handshake.ts"
import { inTime } from "./inTime.ts"
import { claim, type Place } from "./ServiceDirectory.ts"
import { exists, orWarn, seen } from "./storeAnswers.ts"
import { transaction } from "./transaction.ts"
import type { Vchan } from "./Vchan.ts"
import { DomainGone, type VchanError } from "./VchanError.ts"

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
    const directory = yield* Effect.mapError(claim({ service, own, clients, index }), failed)
    const { places } = directory
    const admits = (domid: DomId) => domid !== own && (clients === "any" || clients.includes(domid))

    const heldBy = (domid: DomId): number => [...answered.values()].filter(({ owner }) => owner === domid).length

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
    const tidy = (domid: DomId) =>
      Effect.suspend(() => {
        if (heldBy(domid) > 0 || [...refused.values()].some(({ owner }) => owner === domid)) return Effect.void
        const answers = answersTo(service, domid)
        const tidied = transaction(
          store,
          (store) => Effect.flatMap(store.directory(answers), (names) => names.length === 0 ? store.remove(answers) : Effect.void)
        )
        return Effect.andThen(Effect.ignore(tidied), Effect.ignore(directory.dismiss(domid)))
      })

    const answer = Effect.fnUntraced(function*(request: Request) {
      const { key, owner } = request
      const entry: Answered = { ...request, gone: yield* Deferred.make<Reason>(), over: false, short: false }
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
      if (!(yield* exists(store, place.path))) yield* directory.reopen(place)
      const entry = answered.get(key)
      if (entry !== undefined) yield* Deferred.succeed(entry.gone, new DomainGone())
      if (entry?.over === true) answered.delete(key)
      if (place.domid !== undefined && (refusal !== undefined || entry?.over === true)) yield* tidy(place.domid)
    })

    /** Removes a request; false where its client does not let the server. Such knocks are not let fill the place for all. */
    const remove = Effect.fnUntraced(function*({ key, place }: Request) {
      const removed = yield* store.remove(key).pipe(Effect.as(true), Effect.orElseSucceed(() => false))
      if (removed || place.domid !== undefined) return removed
      const ids = yield* Effect.orElseSucceed(store.directory(place.path), () => [])
      if (ids.join().length < crowded) return false
      yield* Effect.ignore(Effect.andThen(store.remove(place.path), directory.reopen(place)))
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
      if (!isRequestId(id) || !admits(owner) || (place.domid !== undefined && place.domid !== owner)) return yield* remove(request)
      if (place.domid === undefined) return yield* letIn(request)
      yield* heldBy(owner) < maxPerDomain ? answer(request) : refuse(request, "limit")
    })

    /** Gives a domain that knocks a place of its own, for as long as a client may take to ask there, and while it has connections. */
    const letIn = Effect.fnUntraced(function*(knock: Request) {
      const { owner } = knock
      const isNew = !places.has(String(owner))
      yield* directory.letIn(owner)
      yield* remove(knock)
      if (isNew) yield* FiberSet.run(connections, Effect.delay(tidy(owner), connectTimeout))
    })

    const changes = new ChangedPlaces()
    const isChanged = yield* Latch.make(false)
    /** What happened may concern the whole directory. */
    let isDoubtful = false

    /** Takes note of an event. What it means is asked in turns, so that nobody's events hold up another's. */
    const note = (path: string) =>
      Effect.sync(() => {
        const [name = "", id] = path.slice(requests.length + 1).split("/")
        if (name === "") isDoubtful = true
        else if (places.has(name)) changes.add(name, id)
        isChanged.openUnsafe()
      })

    const lookAt = Effect.fnUntraced(function*({ ids, place: name }: Turn) {
      const place = places.get(name)
      if (place === undefined) return
      if (ids !== "all") return yield* Effect.forEach(ids, (id) => orWarn(`${place.path}/${id}`, look(place, id)), { discard: true })
      const listed = yield* seen(store.directory(place.path))
      if (Option.isNone(listed)) yield* directory.reopen(place)
      const known = [...answered.values(), ...refused.values()].filter((request) => request.place === place)
      changes.found(name, [...known.map(({ id }) => id), ...Option.getOrElse(listed, () => [])])
    })

    const nextTurn = Effect.gen(function*() {
      if (isDoubtful) {
        isDoubtful = false
        yield* orWarn(requests, directory.unlessReplaced)
        for (const name of places.keys()) changes.add(name)
      }
      const turn = changes.next()
      if (turn === undefined) {
        isChanged.closeUnsafe()
        return yield* isChanged.await
      }
      yield* orWarn(`${requests}/${turn.place}`, lookAt(turn))
    })

    const connections = yield* FiberSet.make<void>()
    const watching = yield* store.watch(requests).pipe(
      Stream.runForEach(note),
      Effect.raceFirst(Effect.forever(nextTurn)),
      Effect.catch((error) =>
        Effect.sync(() => {
          for (const { gone } of answered.values()) Deferred.doneUnsafe(gone, Effect.succeed(error.reason))
          Deferred.doneUnsafe(ending, Effect.succeed(failed(error)))
        })
      ),
      Effect.forkScoped
    )
    const readmit = Effect.delay(directory.readmit((domid) => heldBy(domid) > 0), readmitInterval)
    // A listener for anybody is told who comes, and wakes for nothing else.
    if (clients !== "any") yield* readmit.pipe(Effect.forever, Effect.raceFirst(Fiber.await(watching)), Effect.forkScoped)
    const close = Effect.andThen(Fiber.interrupt(watching), directory.close)
    // Before the connections end, for that may take long.
    yield* Effect.addFinalizer(() => close)
    return { ended: Deferred.await(ending), close }
  }).pipe(Effect.mapError(asVchanError(0, options.path)))
