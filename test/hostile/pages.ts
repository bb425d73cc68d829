/**
 * Scenarios in which a domain owns the other side of the shared page, and, as a server, of the keys: it changes any byte at any time, while
 * honest calls run, beside an honest pair that shares the attacked process.
 */
import { Handshake, type Vchan, type VchanError } from "@vchan/vchan"
import { EventChannel, GrantTable, pageSize, type Permissions, type Port, type Xen, XenStore } from "@vchan/xen"
import { Context, Effect, type Scope } from "effect"
import * as fc from "fast-check"
import type { Backend } from "../conformance/Backend.ts"
import { type Calls, callsOn, type HonestAction, honestAction, readings } from "./calls.ts"
import { type Counted, counted, quiet } from "./counted.ts"
import type { Ledger } from "./Ledger.ts"
import { HostilePage, type PageAction, pageAction } from "./page.ts"
import { scenario } from "./Scenario.ts"
import { turns, until } from "./turns.ts"
import { honest, hostile, world } from "./world.ts"

export const path = `/local/domain/${honest}/data/fuzzed`
const serverPath = `/local/domain/${hostile}/data/fuzzed`

/** Rings of 1 and 2 KiB in the page itself, of which it is known what lies around them, and rings with pages of their own. */
export const sizes = [
  { leftMin: 1024, rightMin: 2048 },
  { leftMin: 2048, rightMin: 1024 },
  { leftMin: 2048, rightMin: 4096 },
  { leftMin: 4096, rightMin: 8192 }
] as const

const plan = <A>(action: fc.Arbitrary<A>) =>
  fc.record({
    size: fc.constantFrom(...sizes),
    reading: fc.constantFrom(...readings),
    actions: fc.array(fc.oneof({ weight: 4, arbitrary: action }, { weight: 1, arbitrary: honestAction }), { maxLength: 60, size: "max" })
  })

const isHonest = (action: { readonly does: string }): action is HonestAction => action.does === "write" || action.does === "send"

/** The honest side's connections, one after the other. Each of its calls has to end with its connection, rightly. */
export const serially = Effect.fnUntraced(function*<R>(
  connection: Effect.Effect<Vchan, VchanError, R | Scope.Scope>,
  reading: (typeof readings)[number],
  page: HostilePage,
  { note }: Ledger
) {
  let current: Calls | undefined
  const life = Effect.gen(function*() {
    const vchan = yield* connection
    const calls = yield* callsOn(vchan, reading, () => page.isElsewhere)
    current = calls
    const error = yield* vchan.ended
    yield* calls.settled
    return yield* error
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.sync(() => note(error.reason._tag))),
    Effect.ensuring(Effect.sync(() => current = undefined))
  )
  const fiber = yield* Effect.forkScoped(Effect.forever(Effect.andThen(life, turns(1))))
  return {
    act: (action: HonestAction) => Effect.suspend(() => current?.act(action) ?? Effect.void),
    /** The peer has gone: so has the connection to it. */
    over: until("the end of a connection whose peer is gone", () => current === undefined).pipe(
      // Only what went wrong ends the fiber.
      Effect.andThen(Effect.suspend(() => fiber.pollUnsafe() ?? Effect.void))
    )
  }
})

/** A vchan holds nothing but its rings, and what its own side's calls wait to write. */
const mostOfCalls = (actions: ReadonlyArray<{ readonly does: string; readonly length?: unknown }>): number =>
  actions.reduce((sum, { length }) => sum + (typeof length === "number" ? length + ofCall : 0), 0)

/** The fiber of a call. */
const ofCall = 8 * 1024

/** Does all of it, comes to rest, and goes. */
export const attackWith = Effect.fnUntraced(function*<A extends { readonly does: string }>(
  actions: ReadonlyArray<A | HonestAction>,
  side: {
    readonly page: HostilePage
    readonly calls: Effect.Success<ReturnType<typeof serially>>
    readonly work: Counted
    readonly ledger: Ledger
    readonly act: (action: A) => Effect.Effect<void>
  }
) {
  const { calls, ledger, page, work } = side
  yield* ledger.begin
  for (const action of actions) yield* isHonest(action) ? calls.act(action) : side.act(action)
  page.rest()
  yield* quiet(work)
  yield* ledger.worked(work, actions.length)
  yield* ledger.weigh(mostOfCalls(actions), () => 0)
  if (!page.isUntouched) yield* Effect.die(new Error("bytes were written that are not in the ring"))
  page.leave()
  yield* calls.over
})

/** A process that maps and binds what the honest server offers. */
export const hostileClient = Effect.fnUntraced(function*(context: Context.Context<Xen>, size: (typeof sizes)[number]) {
  const store = Context.get(context, XenStore)
  const [reference, port] = yield* Effect.all([store.read(`${path}/ring-ref`), store.read(`${path}/event-channel`)])
  const { page, rings } = yield* pageOf(context, Number(reference), size)
  const bound = yield* Context.get(context, EventChannel).bindInterdomain(honest, Number(port))
  return hostilePage({ role: "client", page, rings, port: bound, size })
})

/** A process that offers what an honest server would, to begin with. */
const hostileServer = Effect.fnUntraced(function*(context: Context.Context<Xen>, size: (typeof sizes)[number]) {
  const store = Context.get(context, XenStore)
  const grants = Context.get(context, GrantTable)
  const port = yield* Context.get(context, EventChannel).bindUnbound(honest)
  const shared = yield* grants.share({ domid: honest, count: 1 })
  const view = new DataView(shared.buffer)
  let at = 24
  const ring = Effect.fnUntraced(function*(length: number) {
    if (length < pageSize) return new Uint8Array(shared.buffer, length, length)
    const pages = yield* grants.share({ domid: honest, count: length / pageSize })
    for (const reference of pages.references) {
      view.setUint32(at, reference, true)
      at += 4
    }
    return new Uint8Array(pages.buffer)
  })
  const left = yield* ring(size.leftMin)
  const right = yield* ring(size.rightMin)
  const page = hostilePage({ role: "server", page: shared.buffer, rings: { left, right }, port, size })
  view.setUint16(16, Math.log2(size.leftMin), true)
  view.setUint16(18, Math.log2(size.rightMin), true)
  view.setUint8(20, 2)
  view.setUint8(21, 1)
  const values: Record<string, string> = { "ring-ref": String(shared.references[0]), "event-channel": String(port.port) }
  /** Writes a key; the true value where that is asked for, and none at all where none is told. */
  const tell = (name: string, value: string | undefined) => {
    const key = `${serverPath}/${name}`
    const told = value === undefined ? store.remove(key) : store.write(key, value === "true" ? values[name] ?? "" : value)
    const permissions: Permissions = [{ domid: hostile, access: "n" }, { domid: honest, access: "r" }]
    return Effect.ignore(Effect.andThen(told, store.setPermissions(key, permissions)))
  }
  yield* Effect.forEach(Object.keys(values), (name) => tell(name, "true"))
  return { page, tell }
})

const pageOf = Effect.fnUntraced(function*(context: Context.Context<Xen>, reference: number, size: (typeof sizes)[number]) {
  const grants = Context.get(context, GrantTable)
  const page = (yield* grants.map({ domid: honest, references: [reference], writable: true })).buffer
  let at = 24
  const ring = Effect.fnUntraced(function*(length: number) {
    if (length < pageSize) return new Uint8Array(page, length, length)
    const references = Array.from({ length: length / pageSize }, (_, index) => new DataView(page).getUint32(at + 4 * index, true))
    at += 4 * references.length
    return new Uint8Array((yield* grants.map({ domid: honest, references, writable: true })).buffer)
  })
  const left = yield* ring(size.leftMin)
  const right = yield* ring(size.rightMin)
  return { page, rings: { left, right } }
})

const hostilePage = (options: {
  readonly role: "server" | "client"
  readonly page: ArrayBuffer | SharedArrayBuffer
  readonly rings: { readonly left: Uint8Array; readonly right: Uint8Array }
  readonly port: Port
  readonly size: (typeof sizes)[number]
}): HostilePage => {
  const { page, port, rings: { left, right }, role, size } = options
  const rings = role === "client" ? { read: right, written: left } : { read: left, written: right }
  return new HostilePage({ role, page, port, rings, guarded: Math.min(size.leftMin, size.rightMin, pageSize) })
}

const pageActions = (page: HostilePage) => (action: PageAction) => Effect.suspend(() => turns(page.act(action)))

/** A hostile client of an honest server. */
export const hostileClients = (backend: Backend) =>
  scenario({
    name: `a client that owns the page, ${backend.name}`,
    plan: plan(pageAction),
    actions: ({ actions }) => actions.length,
    run: ({ actions, reading, size }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          const { context, work } = counted(parties.honest)
          const server = yield* Handshake.server({ domid: hostile, path, ...size }).pipe(Effect.provideContext(context))
          const page = yield* hostileClient(parties.hostile, size)
          const act = pageActions(page)
          const calls = yield* serially(server.accept, reading, page, ledger)
          yield* act({ does: "come" })
          yield* attackWith(actions, { page, calls, work, ledger, act })
        })
      )
  })

/** What a server does to its keys, beside the page. */
type ServerAction = PageAction | { readonly does: "tell"; readonly key: string; readonly value: string | undefined }

const serverAction: fc.Arbitrary<ServerAction> = fc.oneof(
  { weight: 8, arbitrary: pageAction },
  fc.record({
    does: fc.constant("tell"),
    key: fc.constantFrom("ring-ref", "event-channel", "event-channel", "more"),
    value: fc.oneof(
      fc.constantFrom(
        undefined,
        "true",
        "0",
        "-1",
        "1",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "0x8",
        "8 ",
        "",
        "9".repeat(3000)
      ),
      fc.nat(300).map(String),
      fc.string({ maxLength: 20 })
    )
  })
)

/** A hostile server that an honest client connects to again and again. */
export const hostileServers = (backend: Backend) =>
  scenario({
    name: `a server that owns the page and the keys, ${backend.name}`,
    plan: plan(serverAction),
    actions: ({ actions }) => actions.length,
    run: ({ actions, reading, size }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          const { context, work } = counted(parties.honest)
          const { page, tell } = yield* hostileServer(parties.hostile, size)
          const client = Handshake.client({ domid: hostile, path: serverPath, timeout: "100 millis" }).pipe(Effect.provideContext(context))
          const calls = yield* serially(client, reading, page, ledger)
          const act = pageActions(page)
          yield* attackWith(actions, {
            page,
            calls,
            work,
            ledger,
            act: (action: ServerAction) => action.does === "tell" ? tell(action.key, action.value) : act(action)
          })
        })
      )
  })
