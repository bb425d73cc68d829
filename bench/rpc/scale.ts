/**
 * Clients in any number, each with a connection of its own to the server of vchan.ts, in one process.
 *
 * `open COUNT` opens them, up to so many; `adds IN_FLIGHT COUNT` makes calls with so many in flight on each; `first COUNT` opens, calls once and
 * closes.
 */
import { VchanRpcClient } from "@vchan/rpc"
import type { Xen } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { answer, check, own, secondsSince } from "../answer.ts"
import { domain, inDomain } from "../inDomain.ts"
import { Bench } from "./contract.ts"
import { checkSum } from "./loads.ts"
import { place } from "./vchan.ts"

const connect = VchanRpcClient.make(Bench, place)

const context = await inDomain(domain.client, Effect.context<Xen | Scope.Scope>())
const run = <A, E>(effect: Effect.Effect<A, E, Xen | Scope.Scope>) => Effect.runPromise(Effect.provideContext(effect, context))

const clients: Array<Effect.Success<typeof connect>> = []

const once = (client: Effect.Success<typeof connect>, call: number) =>
  Effect.map(client.Add({ a: call, b: 1 }), (sum) => checkSum(call, sum))

answer({
  ...own,
  open: async (count = 0) => {
    const start = performance.now()
    while (clients.length < count) clients.push(await run(connect))
    for (const client of clients) await run(once(client, 1))
    check(clients.length === count, "the number of connections")
    return [secondsSince(start)]
  },
  adds: async (inFlight = 1, calls = 1) => {
    let start = performance.now()
    const lanes = clients.flatMap((client) => Array.from({ length: inFlight }, () => client))
    let call = 0
    // Each lane's first call goes with its start, which is no part of what a call costs.
    const next = (client: Effect.Success<typeof connect>) => {
      if (call === lanes.length) start = performance.now()
      return once(client, call++)
    }
    const lane = (client: Effect.Success<typeof connect>) =>
      Effect.whileLoop({ while: () => call < lanes.length + calls, body: () => next(client), step: () => {} })
    await run(Effect.forEach(lanes, lane, { concurrency: "unbounded", discard: true }))
    return [secondsSince(start)]
  },
  first: async (count = 1) => {
    const start = performance.now()
    for (let n = 0; n < count; n++) await run(Effect.scoped(Effect.flatMap(connect, (client) => once(client, n))))
    return [secondsSince(start)]
  }
})
