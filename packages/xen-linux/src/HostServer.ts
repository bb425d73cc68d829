/**
 * The emulated host: the process that plays the hypervisor's and xenstored's part for the domains of one run directory, on plain Linux.
 *
 * Owns the directory with all files in it, the table of domains and the store, and belongs to the Scope it was made in. What a process of a
 * domain held is released when its control connection closes, as the Linux kernel would do it. It is no security boundary: all its domains
 * are processes of one user. docs/EMULATED-HOST.md tells what is in the directory and what goes over the sockets.
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import {
  defaultLimits,
  type DomId,
  type Guest,
  Hypervisor,
  type HypervisorLimits,
  type Quotas,
  type SystemRefusal,
  XenStoreTree
} from "@vchan/xen"
import { Context, Deferred, Effect, Exit, Layer, Scope, Semaphore } from "effect"
import type { Socket } from "effect/socket"
import { HostServerError } from "./HostServerError.ts"
import { HostStatus } from "./HostStatus.ts"
import { type ControlHost, serveControl } from "./internal/ControlServer.ts"
import { takeDirectory } from "./internal/HostDirectory.ts"
import { type HostMachine, makeHostMachine } from "./internal/HostMachine.ts"
import { type RunDirectory, runDirectory } from "./internal/RunDirectory.ts"
import { makeStoreServer } from "./internal/StoreServer.ts"
import { systemRefusal } from "./internal/systemCall.ts"

/** How a host is set up. */
export interface HostServerOptions {
  /**
   * The run directory: made with mode 0700 where it is missing, and refused where it belongs to somebody else. Where none is named it is
   * `VCHAN_HOST`, else `$XDG_RUNTIME_DIR/vchan-host`, else `/dev/shm/vchan-host-<uid>`.
   */
  readonly directory?: string | undefined
  /** How much of pages and ports domains may hold. */
  readonly limits?: Partial<HypervisorLimits> | undefined
  /** How much of the store a domain may take up. */
  readonly quotas?: Partial<Quotas> | undefined
}

/** An emulated host that runs in this process. */
export class HostServer extends Context.Service<HostServer, {
  /** The run directory, where domains find this host. */
  readonly directory: string
  readonly status: Effect.Effect<HostStatus>
  /** Destroys a domain with its processes, without a sign to its peers' live bytes; false where it is not there. Domain 0 stays. */
  readonly destroy: (domid: DomId) => Effect.Effect<boolean>
}>()("@vchan/xen-linux/HostServer") {}

/** Starts a host. It serves until the Scope closes. */
export const make = Effect.fnUntraced(function*(
  options?: HostServerOptions
): Effect.fn.Return<HostServer["Service"], HostServerError, Scope.Scope> {
  const directory = runDirectory(options?.directory)
  const limits = { ...defaultLimits, ...options?.limits }
  return yield* Effect.gen(function*() {
    yield* takeDirectory(directory)
    const machine = yield* makeHostMachine(directory, limits)
    const hypervisor = new Hypervisor({ machine, limits, store: new XenStoreTree({ quotas: options?.quotas, rememberDomids: true }) })
    const host = yield* makeControlHost(directory, hypervisor, machine)
    yield* serve(directory.control, (socket) => serveControl(host, socket))
    return HostServer.of({ directory: directory.path, status: host.status, destroy: host.destroy })
  }).pipe(Effect.mapError((reason) => new HostServerError({ reason })))
})

/** A host for as long as the Layer is in use. */
export const layer = (options?: HostServerOptions): Layer.Layer<HostServer, HostServerError> => Layer.effect(HostServer, make(options))

/** Which processes are there, in which domains, and a store socket for each domain. */
const makeControlHost = Effect.fnUntraced(function*(
  directory: RunDirectory,
  hypervisor: Hypervisor,
  machine: HostMachine
): Effect.fn.Return<ControlHost, SystemRefusal, Scope.Scope> {
  const scope = yield* Effect.scope
  const processes = new Map<Guest, Deferred.Deferred<void>>()
  const stores = new Map<DomId, Scope.Closeable>()
  const serveStore = makeStoreServer(hypervisor.store)
  // Processes come and go one after the other: the socket of a domain that ended is gone before the next of its number listens.
  const inTurn = Semaphore.makeUnsafe(1).withPermits(1)

  const followDomains = Effect.gen(function*() {
    const domains = hypervisor.holdings().domains
    for (const [domid, store] of stores) {
      if (domains.includes(domid)) continue
      stores.delete(domid)
      yield* Scope.close(store, Exit.void)
    }
    for (const domid of domains) {
      if (stores.has(domid)) continue
      const store = yield* Scope.fork(scope)
      yield* serve(directory.store(domid), (socket) => serveStore(domid, socket)).pipe(
        Scope.provide(store),
        Effect.onError(() => Scope.close(store, Exit.void))
      )
      stores.set(domid, store)
    }
  })

  const leave = (guest: Guest) =>
    Effect.gen(function*() {
      processes.delete(guest)
      guest.leave()
      yield* machine.closeQueue(guest.id)
      yield* Effect.ignore(followDomains)
    })

  yield* followDomains
  return {
    join: (domid, destroyed) =>
      Effect.acquireRelease(
        inTurn(Effect.suspend(() => {
          const guest = hypervisor.enter(domid)
          processes.set(guest, destroyed)
          return Effect.andThen(machine.openQueue(guest.id), followDomains).pipe(
            Effect.onError(() => leave(guest)),
            Effect.as(guest)
          )
        })),
        (guest) => inTurn(leave(guest))
      ),
    destroy: (domid) =>
      inTurn(Effect.gen(function*() {
        const guests = hypervisor.destroy(domid)
        for (const guest of guests) {
          const destroyed = processes.get(guest)
          if (destroyed !== undefined) yield* Deferred.succeed(destroyed, undefined)
        }
        yield* Effect.ignore(followDomains)
        return guests.length > 0
      })),
    status: Effect.sync(() => {
      const { nodes, transactions, watches } = hypervisor.store.stats()
      return new HostStatus({ ...hypervisor.holdings(), processes: processes.size, nodes, transactions, watches })
    })
  }
})

/** Serves a unix socket until the Scope closes. */
const serve = (
  path: string,
  handler: (socket: Socket.Socket) => Effect.Effect<void>
): Effect.Effect<void, SystemRefusal, Scope.Scope> =>
  NodeSocketServer.make({ path }).pipe(
    Effect.mapError(({ reason }) =>
      systemRefusal(`listen ${path}`, "see whether the run directory is still there and may be written", reason.cause)
    ),
    Effect.flatMap((server) => Effect.forkScoped(server.run(handler))),
    Effect.asVoid
  )
