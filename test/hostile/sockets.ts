/**
 * The scenario in which a process of a hostile domain misuses the emulated host's sockets: the control socket and its domain's store.
 */
import { Effect } from "effect"
import * as fc from "fast-check"
import { emulatedHost } from "../conformance/backends.ts"
import { HostileSockets, socketAction } from "./HostileSockets.ts"
import { scenario } from "./Scenario.ts"
import { inTime, turns } from "./turns.ts"
import { besides, honest, world } from "./world.ts"

/** The world's own processes: the attacked one, its honest client, and maybe the attacker's, whose domain can have been destroyed. */
const processes = { least: 2, most: 3 }

/** Twelve connections, each with a line or a packet that is not whole, and what waits for one that does not read. */
const most = 12 * 2 * 1024 * 1024

/** A hostile process of an emulated host. */
export const hostileProcesses = scenario({
  name: "a process that sends anything to an emulated host",
  plan: fc.array(socketAction, { minLength: 2, maxLength: 60, size: "max" }),
  actions: (actions) => actions.length,
  run: (actions, ledger) =>
    world(
      { host: () => emulatedHost() },
      Effect.fnUntraced(function*(_, host) {
        const sockets = yield* Effect.acquireRelease(
          Effect.sync(() => new HostileSockets(host.directory, ledger.note)),
          (sockets) => Effect.sync(() => sockets.close())
        )
        yield* ledger.begin
        for (const action of actions) yield* turns(sockets.act(action))
        yield* turns(5)
        yield* ledger.weigh(most, () => sockets.held)
        sockets.close()
        if (sockets.wrong !== undefined) yield* Effect.die(new Error(sockets.wrong))
        const left = host.status.pipe(
          Effect.tap(turns(1)),
          Effect.repeat({ until: (status) => status.processes >= processes.least && status.processes <= processes.most })
        )
        const { domains } = yield* inTime("the end of the processes whose connections are closed", left)
        if (![0, honest, besides].every((domid) => domains.includes(domid))) yield* Effect.die(new Error("an honest domain is gone"))
      })
    )
})
