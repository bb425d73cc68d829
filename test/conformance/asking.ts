/**
 * A service that is asked for connections: its listener, its directory without one, and clients.
 */
import { assert } from "@effect/vitest"
import { Listener, type Vchan, type VchanError } from "@vchan/vchan"
import { type Permissions, type Xen, XenStore, type XenStoreAccess, type XenStoreError } from "@vchan/xen"
import { Context, Effect, type Scope, Stream } from "effect"
import { type Backend, enter, type Host } from "./Backend.ts"

export const server = 1
export const client = 2
export const other = 3

const path = "data/asked"
export const service = `/local/domain/${server}/${path}`

/** A process in a domain. */
export type Process = Context.Context<Xen>

export const storeOf = (process: Process) => Context.get(process, XenStore)

export const echo = (vchan: Vchan): Effect.Effect<void> => Effect.ignore(Stream.runForEach(vchan.stream, vchan.write))

export const listen = (process: Process, options?: Partial<Listener.ListenerOptions<never>>) =>
  Effect.provideContext(Listener.make<never>({ path, clients: "any", handler: echo, ...options }), process)

export const dial = (process: Process, options?: Partial<Listener.ConnectOptions>) =>
  Effect.provideContext(Listener.connect({ domid: server, path, timeout: "10 seconds", ...options }), process)

export const talks = Effect.fnUntraced(function*(vchan: Vchan) {
  yield* vchan.write(Uint8Array.of(7))
  const byte = new Uint8Array(1)
  yield* vchan.receive(byte)
  assert.deepStrictEqual(byte, Uint8Array.of(7))
})

export const reasonOf = <A, R>(effect: Effect.Effect<A, VchanError, R>) => Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

/** Waits, in bounded time, until something holds. */
export const until = <E>(what: string, holds: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  holds.pipe(
    Effect.tap((held) => held ? Effect.void : Effect.sleep("1 millis")),
    Effect.repeat({ until: (held) => held }),
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`it never came: ${what}`)) }),
    Effect.asVoid
  )

export const names = (process: Process, below: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.orElseSucceed(storeOf(process).directory(`${service}${below}`), () => [])

export const requested = (process: Process, place = String(client)) =>
  until("a request", Effect.map(names(process, `/req/${place}`), (ids) => ids.length > 0))

/** Directories as a listener makes them, and nobody who answers there. */
export const deaf = Effect.fnUntraced(function*(process: Process, place = String(client)) {
  const store = storeOf(process)
  const closed: Permissions = [{ domid: server, access: "n" }]
  const set = (key: string, permissions: Permissions) => Effect.andThen(store.makeDirectory(key), store.setPermissions(key, permissions))
  yield* Effect.forEach([service, `${service}/req`, `${service}/vchan`], (key) => set(key, closed))
  yield* set(`${service}/req/${place}`, place === "any" ? [{ domid: server, access: "b" }] : [...closed, { domid: client, access: "b" }])
})

/** Answers the one request that is there with rings that are not there. */
export const answerDead = Effect.fnUntraced(function*(process: Process) {
  const store = storeOf(process)
  const [id = ""] = yield* names(process, `/req/${client}`)
  for (const key of ["ring-ref", "event-channel"]) {
    yield* store.write(`${service}/vchan/${client}/${id}/${key}`, "4000000")
    yield* store.setPermissions(`${service}/vchan/${client}/${id}/${key}`, [{ domid: server, access: "n" }, { domid: client, access: "r" }])
  }
})

/** Does something to the store again and again, as fast as it goes. */
export const flapping = (process: Process, body: (store: XenStoreAccess, times: number) => Effect.Effect<unknown, XenStoreError>) =>
  Effect.gen(function*() {
    let times = 0
    yield* Effect.forkScoped(Effect.forever(Effect.suspend(() => Effect.ignore(body(storeOf(process), times++)))))
  })

/** A service's domain and a client's; afterwards nothing is held. */
export const between = Effect.fnUntraced(function*<A, E>(
  backend: Backend,
  program: (one: Process, two: Process, host: Host) => Effect.Effect<A, E, Scope.Scope>
) {
  const host = yield* backend.host()
  const one = yield* enter(host, server)
  const two = yield* enter(host, client)
  yield* Effect.scoped(program(one, two, host))
  yield* host.assertReleased
})
