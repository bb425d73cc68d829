/**
 * The backends that need no Xen.
 */
import { type DomId, MemoryXen } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Schedule } from "effect"
import { testHost } from "../../packages/xen-linux/test/testHost.ts"
import type { Backend } from "./Backend.ts"

export const memory: Backend = {
  name: "memory",
  host: (limits) => MemoryXen.make({ limits: { ...limits } })
}

/** An emulated host in this process, which tells where it is and what it holds. */
export const emulatedHost = (limits?: Parameters<Backend["host"]>[0]) =>
  Effect.gen(function*() {
    const host = yield* Effect.orDie(testHost({ limits: { ...limits } }))
    const { directory } = host
    return {
      directory,
      status: host.status,
      domain: (domid: DomId) => EmulatedXen.layer({ directory, domid }),
      destroy: (domid: DomId) => Effect.asVoid(host.destroy(domid)),
      // What a process lets go of reaches the host through a socket: a moment may pass.
      assertReleased: Effect.gen(function*() {
        const { grants, mappings, ports, transactions, watches } = yield* host.status
        const held = { grants, mappings, ports, transactions, watches }
        if (Object.values(held).some((count) => count > 0)) {
          yield* Effect.fail(new Error(`still held on the host: ${JSON.stringify(held)}`))
        }
      }).pipe(Effect.retry({ schedule: Schedule.spaced("5 millis"), times: 12_000 }), Effect.orDie)
    }
  })
/** The emulated host, with all its domains in this process: each still has its own sockets, mappings and FIFO. */
export const emulated: Backend = { name: "the emulated host", host: emulatedHost }
