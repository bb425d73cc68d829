/**
 * Clients in any number, each with a connection of its own to the server of effects.ts, in one process.
 *
 * `open COUNT` gives what each connection takes of memory, in bytes beyond its rings; `adds IN_FLIGHT COUNT` makes calls with so many in flight on
 * each connection; `idle SECONDS` tells the CPU time that was used meanwhile; `first COUNT` opens, calls once and closes.
 */
import { VchanRpcClient } from "@vchan/rpc"
import type { Xen } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { answer, check } from "../answer.ts"
import { domain, inDomain } from "../inDomain.ts"
import { Bench } from "./contract.ts"
import { checkSum } from "./loads.ts"

const connect = VchanRpcClient.make(Bench, { domain: domain.server, service: "bench" })

const context = await inDomain(domain.client, Effect.context<Xen | Scope.Scope>())
const run = <A, E>(effect: Effect.Effect<A, E, Xen | Scope.Scope>) => Effect.runPromise(Effect.provideContext(effect, context))

const clients: Array<Effect.Success<typeof connect>> = []

const once = (client: Effect.Success<typeof connect>, call: number) =>
  Effect.map(client.Add({ a: call, b: 1 }), (sum) => checkSum(call, sum))

const secondsSince = (start: number): number => (performance.now() - start) / 1000

/** Memory of this process alone: the rings are shared. */
const ownBytes = (): number => {
  globalThis.gc?.()
  return Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024
}

answer({
  open: async (count = 0) => {
    const [start, before] = [performance.now(), ownBytes()]
    const missing = count - clients.length
    for (let n = 0; n < missing; n++) clients.push(await run(connect))
    for (const client of clients) await run(once(client, 1))
    check(clients.length === count, "the number of connections")
    return [secondsSince(start), (ownBytes() - before) / missing]
  },
  adds: async (inFlight = 1, calls = 1) => {
    const start = performance.now()
    const lanes = clients.flatMap((client) => Array.from({ length: inFlight }, () => client))
    let call = 0
    const lane = (client: Effect.Success<typeof connect>) =>
      Effect.whileLoop({ while: () => call < calls, body: () => once(client, call++), step: () => {} })
    await run(Effect.forEach(lanes, lane, { concurrency: "unbounded", discard: true }))
    return [secondsSince(start)]
  },
  idle: async (seconds = 1) => {
    const [start, before] = [performance.now(), process.cpuUsage()]
    await run(Effect.sleep(seconds * 1000))
    const { system, user } = process.cpuUsage(before)
    return [secondsSince(start), user + system]
  },
  first: async (count = 1) => {
    const start = performance.now()
    for (let n = 0; n < count; n++) await run(Effect.scoped(Effect.flatMap(connect, (client) => once(client, n))))
    return [secondsSince(start)]
  }
})
