/**
 * An emulated host with three domains in which programs run: Debian's over libxenvchan with the shim, and TypeScript in this process or in
 * another. The host and its domains end with the Scope.
 */
import type { DomId, Xen } from "@vchan/xen"
import { EmulatedXen, HostControl, type HostStatus } from "@vchan/xen-linux"
import { type Context, Effect, Layer, type Scope } from "effect"
import { fileURLToPath } from "node:url"
import { testHost, untilStatus } from "../../packages/xen-linux/test/testHost.ts"
import { type Program, start } from "../system/Programs.ts"
import type { Domain } from "../system/World.ts"
import type { Debian } from "./debian.ts"

/** A domain of an emulated host. */
interface Guest extends Domain {
  readonly xen: Context.Context<Xen>
  /** Starts a C program, by its path or its name in Debian's packages. */
  readonly startC: (...argv: ReadonlyArray<string>) => Effect.Effect<Program, never, Scope.Scope>
}

const peerProcess = fileURLToPath(new URL("peerProcess.ts", import.meta.url))

const guest = Effect.fnUntraced(function*(debian: Debian, directory: string, name: string, domid: DomId) {
  const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid }))
  const environment = [
    "env",
    `VCHAN_HOST=${directory}`,
    `VCHAN_DOMID=${domid}`,
    `XENSTORED_PATH=${directory}/xs.${domid}`,
    `PATH=${debian.tools}:${process.env.PATH}`
  ]
  const startC = (...argv: ReadonlyArray<string>) =>
    Effect.provide(start([...environment, `LD_LIBRARY_PATH=${debian.libraries}`, `LD_PRELOAD=${debian.shim}`, ...argv]), xen)
  const status = Effect.orDie(HostControl.status({ directory }))
  const guest: Guest = {
    name,
    domid,
    xen,
    startC,
    held: Effect.map(
      status,
      ({ grants, mappings, ports, transactions, watches }) => JSON.stringify({ grants, mappings, ports, transactions, watches })
    ),
    ranges: Effect.map(status, ({ grants, mappings }) => grants + mappings),
    start: ([program = "", ...args]) => {
      if (program === "peer-ts" || program === "calls") return Effect.provide(start([program, ...args]), xen)
      if (program === "node") {
        const node = [process.execPath, "--conditions=@vchan/source", peerProcess, ...args.slice(1)]
        return Effect.provide(start([...environment, ...node]), xen)
      }
      return startC(program === "peer" ? debian.peer : program, ...args)
    }
  }
  return guest
})

/** A host with dom0 and two guests. */
export const makeWorld = Effect.fnUntraced(function*(debian: Debian) {
  const { directory } = yield* testHost()
  return {
    directory,
    dom0: yield* guest(debian, directory, "dom0", 0),
    one: yield* guest(debian, directory, "one", 5),
    two: yield* guest(debian, directory, "two", 7),
    pause: ({ name }: Domain) => Effect.die(new Error(`${name} is not alone in its process, which cannot stand still`)),
    save: ({ name }: Domain) => Effect.die(new Error(`${name} has no memory of its own to save`)),
    restore: ({ name }: Domain) => Effect.die(new Error(`${name} was not saved`)),
    destroy: ({ domid }: Domain) => Effect.orDie(HostControl.destroy({ directory, domid })),
    note: (text: string) => Effect.sync(() => console.log(text)),
    status: Effect.orDie(HostControl.status({ directory })),
    /** Waits until the domains hold what they held at the start: nothing. */
    untilReleased: Effect.asVoid(Effect.orDie(untilStatus(directory, "nothing held", isReleased)))
  }
})

/** Of each domain this process is one, and stays. */
const isReleased = (status: HostStatus): boolean =>
  status.processes === status.domains.length && status.grants + status.mappings + status.ports + status.transactions === 0
