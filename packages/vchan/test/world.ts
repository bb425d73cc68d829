/**
 * A host in memory with a server domain and a client domain, for the tests of this package.
 *
 * `world` ends with its Scope and then dies where anything is still held.
 */
import { type DomId, type EventChannel, GrantTable, type HypervisorLimits, MemoryXen, XenStore } from "@vchan/xen"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Handshake, type Vchan } from "../src/index.ts"

export type Xen = GrantTable | EventChannel | XenStore

export const serverDomid = 3
export const clientDomid = 5
export const path = `/local/domain/${serverDomid}/data/vchan`

/** Runs a program in a fresh host, then asserts that nothing is held. */
export const onHost = <A, E>(
  program: (host: MemoryXen.MemoryXen) => Effect.Effect<A, E, Scope.Scope>,
  limits: Partial<HypervisorLimits> = {}
): Effect.Effect<A, E> =>
  Effect.scoped(Effect.gen(function*() {
    const host = yield* MemoryXen.make({ limits })
    const result = yield* Effect.scoped(program(host))
    yield* host.assertReleased
    return result
  })).pipe(Effect.timeoutOrElse({ duration: "100 seconds", orElse: () => Effect.die(new Error("the test took over 100 seconds")) }))

/** One process of a domain, for as long as the Scope is open. */
export const process = (host: MemoryXen.MemoryXen, domid: DomId): Effect.Effect<Context.Context<Xen>, never, Scope.Scope> =>
  Effect.orDie(Layer.build(host.domain(domid)))

/** Runs something as a process of a domain. */
export const as = (context: Context.Context<Xen>) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Xen>> =>
  Effect.provideContext(effect, context)

/** Both sides connected, each end in a Scope of its own. */
export const connected = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen, options?: Partial<Handshake.ServerOptions>) {
  const serverProcess = yield* process(host, serverDomid)
  const clientProcess = yield* process(host, clientDomid)
  const offered = yield* as(serverProcess)(Handshake.server({ domid: clientDomid, path, ...options }))
  const [client, server] = yield* Effect.all([joined(clientProcess), leased(offered.accept)], { concurrency: 2 })
  return {
    offered,
    serverProcess,
    clientProcess,
    client: client.vchan,
    closeClient: client.close,
    server: server.vchan,
    closeServer: server.close
  }
})

/** Connects as a process, in a Scope that is closed by `close`, or with the surrounding one. */
export const joined = (context: Context.Context<Xen>, options?: Partial<Handshake.ClientOptions>) =>
  leased(as(context)(Handshake.client({ domid: serverDomid, path, timeout: "30 seconds", ...options })))

/** Opens a vchan in a Scope of its own. */
export const leased = Effect.fnUntraced(function*<E>(open: Effect.Effect<Vchan, E, Scope.Scope>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const vchan = yield* Scope.provide(open, scope)
  return { vchan, close: Scope.close(scope, Exit.void) }
})

/** The tag of the reason that a vchan effect failed with. */
export const reasonOf = <A, E extends { readonly reason: { readonly _tag: string } }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

/** Bytes that differ from place to place. */
export const pattern = (length: number, from = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (from + at) * 31 + ((from + at) >>> 8))

/** Reads until `length` bytes have come. */
export const readExactly = Effect.fnUntraced(function*(vchan: Vchan, length: number) {
  const bytes = new Uint8Array(length)
  let read = 0
  while (read < length) {
    const piece = new Uint8Array(Math.min(length - read, 50_000))
    const count = yield* vchan.readInto(piece)
    bytes.set(piece.subarray(0, count), read)
    read += count
  }
  return bytes
})

/** The shared page's bytes, as a client that goes around the protocol sees them. */
export const rawPage = Effect.fnUntraced(function*(context: Context.Context<Xen>) {
  const reference = Number(yield* Context.get(context, XenStore).read(`${path}/ring-ref`))
  const { buffer } = yield* Context.get(context, GrantTable).map({ domid: serverDomid, references: [reference], writable: true })
  return { view: new DataView(buffer) }
})
