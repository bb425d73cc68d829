/**
 * A host in memory: any number of domains in one process, for tests and for trying things out.
 *
 * The host belongs to the Scope it was made in. A domain lives from the first Layer built of it to the last one closed; each such Layer is
 * one process of that domain, and closing it releases whatever the process still holds.
 */
import { Context, Effect, Layer, type Result, type Scope } from "effect"
import type { DomId } from "./DomId.ts"
import { EventChannel } from "./EventChannel.ts"
import { GrantTable } from "./GrantTable.ts"
import type { Guest } from "./Guest.ts"
import { Hypervisor, type HypervisorLimits } from "./Hypervisor.ts"
import { MemoryPages } from "./internal/MemoryPages.ts"
import { MemoryPorts } from "./internal/MemoryPorts.ts"
import { memorySocket } from "./internal/memorySocket.ts"
import type { Xen } from "./Xen.ts"
import { EventChannelError, GrantTableError, HostLost, UnsupportedMapping, type XenStoreError } from "./XenError.ts"
import { XenStore } from "./XenStore.ts"
import * as XenStoreClient from "./XenStoreClient.ts"

const host = "memory"

/** A host in memory. */
export interface MemoryXen {
  /** A process in a domain: `domid`, which comes to be where it did not exist, or a fresh one. */
  readonly domain: (domid?: DomId) => Layer.Layer<Xen, XenStoreError>
  /** Ends all processes of a domain at once, as `kill -9` would: peers find the live byte cleared and are rung. */
  readonly kill: (domid: DomId) => Effect.Effect<void>
  /** Destroys a domain with its processes: no live byte changes and nobody is rung. */
  readonly destroy: (domid: DomId) => Effect.Effect<void>
  /** Dies where any domain still holds a grant, a mapping, a port, a watch or a transaction, and tells which. */
  readonly assertReleased: Effect.Effect<void>
}

interface Process {
  readonly guest: Guest
  /** Ends the process from outside: its calls fail from now on. */
  readonly end: () => void
}

/**
 * Makes an empty host with domain 0 alone.
 *
 * @example
 * ```ts
 * import { MemoryXen, ownDomid } from "@vchan/xen"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const host = yield* MemoryXen.make()
 *   return yield* ownDomid.pipe(Effect.provide(host.domain(7))) // 7
 * })
 * ```
 */
export const make = (options?: { readonly limits?: Partial<HypervisorLimits> }): Effect.Effect<MemoryXen, never, Scope.Scope> =>
  Effect.sync(() => {
    const pages = new MemoryPages()
    const ports = new MemoryPorts()
    const hypervisor = new Hypervisor({
      limits: options?.limits,
      machine: {
        allocate: (first, count) => pages.allocate(first, count),
        free: (first) => pages.free(first),
        clearByte: (reference, offset) => pages.clearByte(reference, offset),
        bound: (port, _guest, peer) => ports.bound(port, peer),
        unbound: (port) => ports.unbound(port),
        raise: (port) => ports.raise(port)
      }
    })
    const processes = new Set<Process>()

    const join = Effect.fnUntraced(function*(domid: DomId | undefined) {
      const guest = hypervisor.enter(domid)
      const socket = yield* memorySocket(hypervisor.store, guest.domid)
      const process: Process = { guest, end: socket.end }
      processes.add(process)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (!processes.delete(process)) return
          socket.end()
          guest.leave()
        })
      )
      const store = yield* XenStoreClient.make({ socket: socket.socket, host })
      const alive = Effect.suspend(() => processes.has(process) ? Effect.void : Effect.fail(new HostLost({ host })))
      return Context.make(GrantTable, grantTable(guest, pages, alive)).pipe(
        Context.add(EventChannel, eventChannel(guest, ports, alive)),
        Context.add(XenStore, store)
      )
    })

    const endAll = (domid: DomId, release: () => void): Effect.Effect<void> =>
      Effect.sync(() => {
        const ended = [...processes].filter((process) => process.guest.domid === domid)
        for (const process of ended) processes.delete(process)
        release()
        for (const process of ended) process.end()
      })

    return {
      domain: (domid) => Layer.effectContext(join(domid)),
      kill: (domid) => {
        const guests = [...processes].map(({ guest }) => guest).filter((guest) => guest.domid === domid)
        return endAll(domid, () => guests.forEach((guest) => guest.leave()))
      },
      destroy: (domid) =>
        endAll(domid, () => {
          for (const guest of hypervisor.destroy(domid)) guest.leave()
        }),
      assertReleased: Effect.suspend(() => {
        const { grants, mappings, ports } = hypervisor.holdings()
        const { transactions, watches } = hypervisor.store.stats()
        const held = { grants, mappings, ports, transactions, watches }
        return Object.values(held).every((count) => count === 0)
          ? Effect.void
          : Effect.die(new Error(`still held on the host: ${JSON.stringify(held)}`))
      })
    }
  })

const grantTable = (guest: Guest, pages: MemoryPages, alive: Effect.Effect<void, HostLost>): GrantTable["Service"] => {
  const failed = Effect.mapError((reason: GrantTableError["reason"]) => new GrantTableError({ reason }))
  return {
    share: ({ count, domid, notify }) =>
      Effect.acquireRelease(
        Effect.andThen(alive, Effect.suspend(() => Effect.fromResult(guest.share(domid, count, notify)))),
        (first) => Effect.sync(() => guest.endShare(first))
      ).pipe(
        Effect.map((first) => ({
          references: Array.from({ length: count }, (_, index) => first + index),
          buffer: pages.bufferAt(first)
        })),
        failed
      ),
    map: ({ domid, notify, references }) =>
      Effect.gen(function*() {
        yield* alive
        yield* Effect.acquireRelease(
          Effect.suspend(() => Effect.fromResult(guest.map(domid, references, notify))),
          (mapping) => Effect.sync(() => guest.unmap(mapping))
        )
        const buffer = pages.bufferOf(references)
        if (buffer === undefined) {
          return yield* new UnsupportedMapping({ domid, detail: "in memory, pages are mapped in the very run they were shared in" })
        }
        return { references, buffer }
      }).pipe(failed)
  }
}

const eventChannel = (guest: Guest, ports: MemoryPorts, alive: Effect.Effect<void, HostLost>): EventChannel["Service"] => {
  const bind = (bound: () => Result.Result<number, EventChannelError["reason"]>) =>
    Effect.acquireRelease(
      Effect.andThen(alive, Effect.suspend(() => Effect.fromResult(bound()))),
      (port) => Effect.sync(() => guest.unbind(port))
    ).pipe(
      Effect.map((port) => ports.portOf(port)),
      Effect.mapError((reason) => new EventChannelError({ reason }))
    )
  return {
    bindUnbound: (domid) => bind(() => guest.bindUnbound(domid)),
    bindInterdomain: (domid, port) => bind(() => guest.bindInterdomain(domid, port))
  }
}
