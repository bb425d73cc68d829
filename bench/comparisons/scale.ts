/**
 * What many connections cost: a call as they grow, and as calls in flight do; CPU and memory of those that rest; and how long a first call takes.
 *
 * Nothing is compared with a peer: each row stands beside the one of a single connection, or of a single call.
 */
import { Effect } from "effect"
import { type Agent, start } from "../Agent.ts"
import type { Comparison, Row } from "../comparison.ts"
import { host, program } from "../host.ts"
import { type Effort, type Load, measureAll } from "../measure.ts"

/** The side's name. */
export const grown = "vchan-rpc"

const calls = (connections: number, inFlight: number): Load => ({
  name: `a small call, ${connections} connection${connections === 1 ? "" : "s"}, ${inFlight} in flight on each`,
  unit: "us",
  line: (count) => `adds ${inFlight} ${count}`,
  value: (count, seconds) => seconds / count * 1e6,
  first: connections * inFlight * 2
})

/** What grows, from one. */
export const inFlight = [1, 16, 256, 1024, 10_000].map((inFlight) => calls(1, inFlight))
const connections = [10, 50, 100, 200].map((connections) => ({ connections, load: calls(connections, 16) }))
export const overConnections = [calls(1, 16), ...connections.map(({ load }) => load)]

const first: Load = {
  name: "connect, call once and close",
  unit: "ms",
  line: (count) => `first ${count}`,
  value: (count, seconds) => seconds / count * 1000
}

/** The loads of connections that rest, by the side of whose process they tell. */
export const idle = {
  memory: (side: string) => `${side}'s memory beyond the rings, each idle connection`,
  cpu: (side: string) => `${side}'s CPU, 100 idle connections, each second`
}

/** A server and its many clients: processes that collect their garbage when they are asked for what they use. */
const processes = Effect.gen(function*() {
  const collecting = (name: string, ...args: ReadonlyArray<string>) => {
    const [node = "", ...rest] = program(name, ...args).argv
    return start({ argv: [node, "--expose-gc", ...rest] })
  }
  const server = yield* collecting("rpc/main.ts", "server", "vchan")
  return { server, client: yield* collecting("rpc/scale.ts") }
})

const used = (what: "cpu" | "memory", agent: Agent) => Effect.map(agent.ask(what), ([used = Number.NaN]) => used)

/** How many connections rest: the first bring code and tables with them, and each of the others takes what one more does. */
const resters = 100

/** Bytes of a connection's rings, of 256 KiB each, and of the page that tells of them. */
const rings = 2 * 256 * 1024 + 4096

const resting = Effect.fnUntraced(function*({ isBrief }: Effort) {
  const seconds = isBrief ? 1 : 10
  const { client, server } = yield* processes
  const sides = [["client", client], ["server", server]] as const
  const both = (what: "cpu" | "memory") => Effect.forEach(sides, ([, agent]) => used(what, agent))
  yield* client.ask(`open ${resters}`)
  const memory = yield* both("memory")
  const cpu = yield* both("cpu")
  yield* Effect.sleep(seconds * 1000)
  const cpuAfter = yield* both("cpu")
  yield* client.ask(`open ${2 * resters}`)
  const memoryAfter = yield* both("memory")
  const row = (load: string, unit: string, value: number): Row => ({
    load,
    unit,
    figures: { [grown]: { median: value, low: value, high: value } }
  })
  return sides.flatMap(([name], at) => [
    row(idle.cpu(name), "ms", ((cpuAfter[at] ?? Number.NaN) - (cpu[at] ?? Number.NaN)) * 1000 / seconds),
    row(idle.memory(name), "KiB", (((memoryAfter[at] ?? Number.NaN) - (memory[at] ?? Number.NaN)) / resters - rings) / 1024)
  ])
}, Effect.scoped)

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  yield* host
  const rows: Array<Row> = [...yield* resting(effort)]
  const { client } = yield* processes
  const measured = Effect.fnUntraced(function*(...loads: ReadonlyArray<Load>) {
    rows.push(...yield* measureAll([{ name: grown, agent: client }], loads, effort))
  })
  yield* measured(first)
  yield* client.ask("open 1")
  yield* measured(...inFlight)
  for (const { connections: count, load } of connections) {
    yield* client.ask(`open ${count}`)
    yield* measured(load)
  }
  return { title: "Growth", sides: [grown], rows }
})
