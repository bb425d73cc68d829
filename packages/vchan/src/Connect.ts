/**
 * A client's way to a listening service: ask, wait for the answer, connect.
 *
 * Request and connection belong to the Scope. On its close the connection says goodbye first, then the request is removed. Where none comes of
 * a request it is removed at once.
 */
import { type DomId, type EventChannel, type GrantTable, ownDomid, XenStore } from "@vchan/xen"
import { Data, type Duration, Effect, Option, Schedule, type Scope } from "effect"
import {
  answerPath,
  anybody,
  isAsked,
  placePath,
  randomId,
  readRefusal,
  requestsDirectory,
  serviceDirectory,
  writeRequest
} from "./Admission.ts"
import { asVchanError, checkDomid } from "./asVchanError.ts"
import type { Connection } from "./Connection.ts"
import { attempt, watchServer } from "./Handshake.ts"
import { inTime } from "./inTime.ts"
import type { Vchan } from "./Vchan.ts"
import { Refused, VchanError } from "./VchanError.ts"
import { keepIfItWorks, left, nobodyCame, NotYet, untilItWorks, waitFor } from "./Waiting.ts"

/** Which service to connect to. */
export interface ConnectOptions {
  /** The domain that serves. */
  readonly domid: DomId
  /** The service's directory, as the server names it: absolute, or relative to the server's own tree. */
  readonly path: string
  /** How long to wait for the service to be there and to answer; 5 seconds where nothing is said. */
  readonly timeout?: Duration.Input | undefined
  /** What to do where the service is not there at all: `fail` at once, or `wait` for it, which is done where nothing is said. */
  readonly absent?: "wait" | "fail" | undefined
}

/** The request went before there was an answer. */
class Unanswered extends Data.TaggedError("Unanswered") {}

/** When to ask anew: at once, for a server that has a successor, but not as fast as somebody can remove requests. */
const again = Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("250 millis")])

/**
 * Connects to a service in another domain.
 *
 * A server that ends, or is killed, before it has answered is nobody's refusal: its successor is asked then, for as long as there is time.
 *
 * Fails with `ServerAbsent` where the service is not there, or does not admit this domain: XenStore tells nobody which. Fails with `Refused`
 * where the server answered that it gives no connection or is of this very domain, and otherwise as the handshake does.
 */
export const connect = (options: ConnectOptions): Effect.Effect<Vchan, VchanError, GrantTable | EventChannel | XenStore | Scope.Scope> =>
  Effect.gen(function*() {
    const { absent, domid } = options
    yield* checkDomid(domid)
    const store = yield* XenStore
    const service = serviceDirectory(domid, options.path)
    const client = yield* ownDomid
    if (client === domid) {
      const detail = `services are for other domains, and this is domain ${domid} itself: call from another one`
      return yield* new VchanError({ domid, path: service, reason: new Refused({ detail }) })
    }
    const failed = asVchanError(domid, service)
    const wait = waitFor(options.timeout)

    /** One request, until there is an answer to it or it is gone. */
    const ask = Effect.gen(function*() {
      const id = yield* randomId
      const path = answerPath(service, client, id)
      const [own, shared] = [placePath(service, client), placePath(service, anybody)]
      // Registered first: where the request is interrupted, nobody knows whether it was written.
      yield* Effect.addFinalizer(() =>
        inTime(Effect.forEach([own, shared], (place) => Effect.ignore(store.remove(`${place}/${id}`)), { concurrency: 2, discard: true }))
      )
      const write = (place: string) => Effect.mapError(writeRequest(store, { place, id, client, server: domid }), failed)
      const first = yield* untilItWorks({
        domid,
        path: service,
        wait,
        watch: [requestsDirectory(service)],
        attempt: Effect.gen(function*() {
          const key = (yield* write(own)) ?? (yield* write(shared))
          if (key !== undefined) return key
          return yield* absent === "fail" ? nobodyCame(domid, service, Math.round(performance.now() - wait.since)) : new NotYet({})
        })
      })
      const isThere = (key: string) => Effect.mapError(isAsked(store, key, client), failed)
      const key = first === `${own}/${id}` ? first : yield* untilItWorks({
        domid,
        path: service,
        wait,
        watch: [own, first],
        attempt: Effect.gen(function*() {
          // Looked for first: the server opens the place before it takes the knock away.
          const knocks = yield* isThere(first)
          return (yield* write(own)) ?? (knocks ? yield* new NotYet({}) : undefined)
        })
      })
      if (key === undefined) return yield* new Unanswered()
      const unanswered = Effect.gen(function*() {
        const [refusal, asked] = yield* Effect.all([Effect.mapError(readRefusal(store, path), failed), isThere(key)], { concurrency: 2 })
        if (Option.isSome(refusal)) return yield* new VchanError({ domid, path: service, reason: new Refused({ detail: refusal.value }) })
        return asked ? yield* new NotYet({}) : Option.none<Connection>()
      })
      const connection = yield* untilItWorks({
        domid,
        path: service,
        wait,
        // Nothing around them: everybody who asks here may see that others do.
        watch: [path, key],
        attempt: attempt(domid, path).pipe(
          Effect.map(Option.some),
          // What is answered is for this request alone: where it cannot be had, its server is dead or about to end.
          Effect.catchTag("NotYet", ({ refusal }) => refusal?.reason._tag === "NoSuchGrant" ? new NotYet({ refusal }) : unanswered)
        )
      })
      return yield* Option.isSome(connection) ? Effect.succeed(connection.value) : new Unanswered()
    })

    const connection = yield* keepIfItWorks(ask).pipe(
      Effect.retry({ while: (error) => error._tag === "Unanswered" && left(wait) > 0, schedule: again }),
      Effect.catchTag("Unanswered", () => nobodyCame(domid, service, wait.allowed))
    )
    yield* watchServer(connection)
    return connection
  }).pipe(Effect.mapError(asVchanError(options.domid, options.path)))
