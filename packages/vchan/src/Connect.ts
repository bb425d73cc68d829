/**
 * A client's way to a listening service: ask, wait for the answer, connect.
 *
 * Request and connection belong to the Scope. On its close the connection says goodbye first, then the request is removed.
 */
import { type DomId, type EventChannel, type GrantTable, ownDomid, XenStore } from "@vchan/xen"
import { type Duration, Effect, Option, type Scope } from "effect"
import { answerPath, randomId, removeRequest, requestsDirectory, serviceDirectory, writeRequest } from "./Admission.ts"
import { readKey } from "./Advert.ts"
import { asVchanError, checkDomid } from "./asVchanError.ts"
import { attempt, watchServer } from "./Handshake.ts"
import { inTime } from "./inTime.ts"
import type { Vchan } from "./Vchan.ts"
import { Refused, ServerAbsent, VchanError } from "./VchanError.ts"
import { NotYet, untilItWorks } from "./Waiting.ts"

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

/**
 * Connects to a service in another domain.
 *
 * Fails with `ServerAbsent` where the service is not there, or does not admit this domain: XenStore tells nobody which. Fails with `Refused`
 * where it turned this request down, and otherwise as the handshake does.
 */
export const connect = (options: ConnectOptions): Effect.Effect<Vchan, VchanError, GrantTable | EventChannel | XenStore | Scope.Scope> =>
  Effect.gen(function*() {
    const { absent, domid, timeout } = options
    yield* checkDomid(domid)
    const store = yield* XenStore
    const service = serviceDirectory(domid, options.path)
    const client = yield* ownDomid
    const id = yield* randomId
    const path = answerPath(service, client, id)
    const failed = asVchanError(domid, service)
    const since = performance.now()
    const waiting = { domid, path: service, timeout, since }
    // Registered first: where the request is interrupted, nobody knows whether it was written.
    yield* Effect.addFinalizer(() => inTime(removeRequest({ service, client, id })))
    const key = yield* untilItWorks({
      ...waiting,
      watch: [requestsDirectory(service)],
      attempt: Effect.gen(function*() {
        const key = yield* Effect.mapError(writeRequest({ service, server: domid, client, id }), failed)
        if (key !== undefined) return key
        if (absent !== "fail") return yield* new NotYet({})
        return yield* new VchanError({ domid, path: service, reason: new ServerAbsent({ waitedMillis: 0, client }) })
      })
    })
    const turnedDown = Effect.gen(function*() {
      if (Option.isSome(yield* Effect.mapError(readKey(store, key), failed))) return yield* new NotYet({})
      const detail = "the server removed the request: has this domain too many connections there, or is the server short of something?"
      return yield* new VchanError({ domid, path: service, reason: new Refused({ detail }) })
    })
    const connection = yield* untilItWorks({
      ...waiting,
      // Nothing around them: everybody who asks here may see that others do.
      watch: [path, key],
      attempt: Effect.catchTag(
        attempt(domid, path),
        "NotYet",
        (notYet) => notYet.refusal === undefined ? turnedDown : Effect.fail(notYet)
      )
    })
    yield* watchServer(connection)
    return connection
  }).pipe(Effect.mapError(asVchanError(options.domid, options.path)))
