/**
 * How two domains come to a vchan: the server lends pages and keeps a port for its client, and says in XenStore which; the client maps and
 * binds them (tools/libs/vchan/init.c in Xen's sources).
 *
 * All that is acquired belongs to the Scope, and is released at once where a step fails. Whoever can write the keys is trusted for nothing
 * but numbers: what stands behind them the hypervisor vouches for, and what lies in the page is checked.
 */
import { type DomId, EventChannel, type GrantReference, GrantTable, ownDomid, type XenStore } from "@vchan/xen"
import { type Duration, Effect, Option, Schedule, type Scope } from "effect"
import * as Advert from "./Advert.ts"
import { asVchanError, checkDomid } from "./asVchanError.ts"
import { Connection } from "./Connection.ts"
import { domainGone, keyGone } from "./Liveness.ts"
import { Consumer, Producer } from "./Ring.ts"
import { chooseOrders, defaultRing, maxRing, type Orders, ordersFault, ringPages } from "./RingGeometry.ts"
import { type Server, ServerEnd } from "./Server.ts"
import { live, liveAt, SharedPage } from "./SharedPage.ts"
import type { Vchan } from "./Vchan.ts"
import { BadGeometry, PathTooLong, Refused, VchanError } from "./VchanError.ts"
import { NotYet, untilItWorks, waitFor } from "./Waiting.ts"

type Xen = GrantTable | EventChannel | XenStore

/** What a server offers, and to whom. */
export interface ServerOptions {
  /** The domain that may connect. */
  readonly domid: DomId
  /** Where to meet: absolute, or relative to the own domain. By convention `/local/domain/<server>/data/vchan/<client>/<port>`. */
  readonly path: string
  /** The least size in bytes of the ring that the server reads, at most 1 MiB; 256 KiB where nothing is said. */
  readonly leftMin?: number | undefined
  /** The least size in bytes of the ring that the server writes. */
  readonly rightMin?: number | undefined
  /** Whether clients that use libxenvchan are to connect, which takes no path over 49 bytes. They are, unless this is false. */
  readonly forC?: boolean | undefined
  /** A key that goes with the client's domain, for servers that the hypervisor does not tell when a domain ends. */
  readonly watchKey?: string | undefined
}

/** Which server a client connects to. */
export interface ClientOptions {
  readonly domid: DomId
  readonly path: string
  /** How long to wait for the server to be there and free; 5 seconds where nothing is said. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Offers rings to a domain, for one client at a time, until the Scope closes.
 *
 * Fails with `PathTooLong`, with `BadGeometry` for sizes over 1 MiB, and with what the hypervisor or the store refused.
 */
export const server = (options: ServerOptions): Effect.Effect<Server, VchanError, Xen | Scope.Scope> =>
  Effect.gen(function*() {
    const { domid, watchKey } = options
    const { end, own } = yield* offer(options)
    const sources = domainGone(domid)
    yield* (watchKey === undefined ? sources : Effect.raceFirst(sources, keyGone(watchKey))).pipe(
      Effect.map((reason) => end.end(reason)),
      Effect.forkScoped
    )
    yield* Effect.suspend(() => end.awaitsClient ? Advert.readmit(options.path, own, domid) : Effect.void).pipe(
      Effect.delay(Advert.readmitInterval),
      Effect.forever,
      Effect.forkScoped
    )
    return end
  })

/** As `server`, where the caller learns by other means that the client's domain is gone. */
export const offer = (
  options: ServerOptions
): Effect.Effect<{ readonly end: ServerEnd; readonly own: DomId }, VchanError, Xen | Scope.Scope> =>
  Effect.gen(function*() {
    const { domid, forC, path } = options
    yield* checkDomid(domid)
    if (forC !== false && new TextEncoder().encode(path).length > Advert.longestPath) {
      return yield* new VchanError({ domid, path, reason: new PathTooLong({ limit: Advert.longestPath }) })
    }
    const orders = yield* ordersFor(options)
    const grants = yield* GrantTable
    const events = yield* EventChannel
    const none = { references: [], buffer: undefined }
    const share = (count: number) => count === 0 ? Effect.succeed(none) : grants.share({ domid, count })
    // The port is bound before the page that rings it is shared, and so unbound after the page has rung.
    const bound = Effect.gen(function*() {
      const port = yield* events.bindUnbound(domid)
      const shared = yield* grants.share({ domid, count: 1, notify: { clearByte: liveAt.server, port: port.port } })
      return { port, shared }
    })
    const [own, { port, shared }, left, right] = yield* Effect.all(
      [ownDomid, bound, share(ringPages(orders.left)), share(ringPages(orders.right))],
      { concurrency: "unbounded" }
    )
    const page = new SharedPage(shared.buffer)
    page.initialise(orders, [...left.references, ...right.references])
    const end = new ServerEnd({
      domid,
      path,
      page,
      port,
      left: page.ring("server", "read", orders.left, left.buffer),
      right: page.ring("server", "write", orders.right, right.buffer)
    })
    const ringRef = yield* firstOf(shared.references)
    yield* Advert.publish({ path, own, domid, advert: { ringRef, eventChannel: port.port } })
    // Runs before the keys are withdrawn: a client that sees them vanish finds that its server said goodbye.
    yield* Effect.addFinalizer(() => Effect.sync(() => end.close()))
    return { end, own }
  }).pipe(Effect.mapError(asVchanError(options.domid, options.path)))

/** The orders of the rings that are asked for. */
export const ordersFor = (options: ServerOptions): Effect.Effect<Orders, VchanError> => {
  const { domid, leftMin = defaultRing, path, rightMin = defaultRing } = options
  const orders = chooseOrders(leftMin, rightMin)
  if (orders !== undefined) return Effect.succeed(orders)
  const detail = `rings of ${leftMin} and ${rightMin} bytes were asked for, and 0 to ${maxRing} are allowed`
  return Effect.fail(new VchanError({ domid, path, reason: new BadGeometry({ detail }) }))
}

const firstOf = (references: ReadonlyArray<GrantReference>): Effect.Effect<GrantReference> =>
  references[0] === undefined ? Effect.die(new Error("a share of one page came without a reference")) : Effect.succeed(references[0])

/**
 * Connects to a server, waiting for one where there is none yet.
 *
 * Fails with `ServerAbsent` where none came in time, with `Refused` where it holds another client or its port is not to be had, with
 * `NoSuchGrant`, `BadAdvert`, `BadGeometry` or `RingCorrupt` where what it offers is none, and with what the hypervisor or the store refused.
 */
export const client = (options: ClientOptions): Effect.Effect<Vchan, VchanError, Xen | Scope.Scope> =>
  Effect.gen(function*() {
    const { domid, path, timeout } = options
    yield* checkDomid(domid)
    const watch = [Advert.eventChannelKey(path)]
    const connection = yield* untilItWorks({ domid, path, wait: waitFor(timeout), watch, attempt: attempt(domid, path) })
    yield* watchServer(connection)
    return connection
  })

/** Ends a client's connection when its server's domain is gone. */
export const watchServer = (connection: Connection): Effect.Effect<void, never, XenStore | Scope.Scope> =>
  keyGone(Advert.eventChannelKey(connection.path)).pipe(
    Effect.map((reason) => connection.end(reason)),
    Effect.forkScoped,
    Effect.asVoid
  )

/** Connects where a server advertises. Fails with `NotYet` where none does, or where what it advertises is stale or taken. */
export const attempt = (domid: DomId, path: string): Effect.Effect<Connection, VchanError | NotYet, Xen | Scope.Scope> =>
  Effect.gen(function*() {
    const advert = yield* Advert.read(domid, path)
    return Option.isNone(advert) ? yield* new NotYet({}) : yield* attach(domid, path, advert.value)
  }).pipe(
    Effect.mapError((error) => error._tag === "NotYet" ? error : asVchanError(domid, path)(error)),
    Effect.mapError((error) => error._tag === "VchanError" && isPassing(error.reason) ? new NotYet({ refusal: error }) : error)
  )

/** Keys that a dead server left point to nothing, and a port with a client becomes free: both may be different soon. */
const isPassing = (reason: VchanError["reason"]): boolean => reason._tag === "Refused" || reason._tag === "NoSuchGrant"

/** How long a client lets its server part from the former one. libxenvchan never tells that it has. */
const parting = "100 millis"

/** Waits while the server has not let go of a former client: one who came now would be taken for that one, and get what was meant for it. */
const awaitTurn = (page: SharedPage): Effect.Effect<void> =>
  Effect.sync(() => page.live("client") !== live.gone || page.isGone("server")).pipe(
    Effect.repeat({ until: (over) => over, schedule: Schedule.spaced("1 millis") }),
    Effect.timeoutOption(parting),
    Effect.asVoid
  )

const attach = Effect.fnUntraced(function*(domid: DomId, path: string, advert: Advert.Advert) {
  const grants = yield* GrantTable
  const events = yield* EventChannel
  const failed = (reason: VchanError["reason"]) => new VchanError({ domid, path, reason })
  const port = yield* events.bindInterdomain(domid, advert.eventChannel).pipe(
    Effect.catchReason("EventChannelError", "NoSuchPort", (reason) => Effect.fail(failed(new Refused({ detail: reason.message }))))
  )
  const notify = { clearByte: liveAt.client, port: port.port }
  const page = new SharedPage((yield* grants.map({ domid, references: [advert.ringRef], writable: true, notify })).buffer)
  // Read once: what the server writes there from now on changes nothing here.
  const orders = page.readOrders()
  const fault = ordersFault(orders)
  if (fault !== undefined) return yield* failed(new BadGeometry({ detail: fault }))
  yield* awaitTurn(page)
  if (page.isGone("server")) return yield* failed(new Refused({ detail: "the server is closing, or sends its former client away" }))
  const count = { left: ringPages(orders.left), right: ringPages(orders.right) }
  const references = page.readReferences(count.left + count.right)
  const map = (references: ReadonlyArray<GrantReference>, writable: boolean) =>
    references.length === 0 ? Effect.undefined : Effect.map(grants.map({ domid, references, writable }), ({ buffer }) => buffer)
  const [left, right] = yield* Effect.all([map(references.slice(0, count.left), true), map(references.slice(count.left), false)], {
    concurrency: "unbounded"
  })
  const producer = new Producer(page.ring("client", "write", orders.left, left))
  const consumer = new Consumer(page.ring("client", "read", orders.right, right))
  const connection = new Connection({ role: "client", peer: domid, path, page, producer, consumer, port, begun: producer.position })
  yield* Effect.addFinalizer(() => Effect.sync(() => connection.close()))
  page.setLive("client", live.connected)
  page.greet("client")
  port.notifyUnsafe()
  connection.start()
  return connection
})
