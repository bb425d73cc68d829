/**
 * What many connections cost: a call as they grow, and as calls in flight do; CPU and memory of those that rest; and how long a first call takes.
 *
 * Nothing is compared with a peer: each row stands beside the one of a single connection, or of a single call.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import { type Agent, start } from "../Agent.ts"
import type { Comparison, Row } from "../comparison.ts"
import { host, program } from "../host.ts"
import { type Effort, figure, type Load, measureAll } from "../measure.ts"

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

/** Keeps a process on one CPU: where two share one would be seen more than what grows, and no peer is measured here that might like it. */
const onCpu = (cpu: number): ReadonlyArray<string> =>
  os.availableParallelism() > 1 && fs.existsSync("/usr/bin/taskset") ? ["/usr/bin/taskset", "-c", String(cpu)] : []

/** A server and its many clients: processes that collect their garbage when they are asked for what they use. */
const processes = Effect.gen(function*() {
  const collecting = (cpu: number, name: string, ...args: ReadonlyArray<string>) => {
    const [node = "", ...rest] = program(name, ...args).argv
    return start({ argv: [...onCpu(cpu), node, "--expose-gc", ...rest] })
  }
  const server = yield* collecting(0, "rpc/main.ts", "server", "vchan")
  return { server, client: yield* collecting(1, "rpc/scale.ts") }
})

const used = (what: "cpu" | "memory", agent: Agent) => Effect.map(agent.ask(what), ([used = Number.NaN]) => used)

/** How many connections rest. The first bring code and tables with them; what one more takes, steps of some more tell. */
const resters = 100
const step = 20
const steps = 5

/** Bytes of a connection's rings, of 256 KiB each, and of the page that tells of them. */
const rings = 2 * 256 * 1024 + 4096

const resting = Effect.fnUntraced(function*({ isBrief }: Effort) {
  const seconds = isBrief ? 1 : 10
  const { client, server } = yield* processes
  const sides = [["client", client], ["server", server]] as const
  const both = (what: "cpu" | "memory") => Effect.forEach(sides, ([, agent]) => used(what, agent))
  yield* client.ask(`open ${resters}`)
  const cpu = yield* both("cpu")
  yield* Effect.sleep(seconds * 1000)
  const cpuAfter = yield* both("cpu")
  const memory = [yield* both("memory")]
  for (let more = 1; more <= steps; more++) {
    yield* client.ask(`open ${resters + more * step}`)
    memory.push(yield* both("memory"))
  }
  /** What each of some more connections takes, for each step. */
  const taken = (at: number) =>
    memory.slice(1).map((after, index) => ((after[at] ?? Number.NaN) - (memory[index]?.[at] ?? Number.NaN)) / step - rings)
  const row = (load: string, unit: string, ...values: ReadonlyArray<number>): Row => ({ load, unit, figures: { [grown]: figure(values) } })
  return sides.flatMap(([name], at) => [
    row(idle.cpu(name), "ms", ((cpuAfter[at] ?? Number.NaN) - (cpu[at] ?? Number.NaN)) * 1000 / seconds),
    row(idle.memory(name), "KiB", ...taken(at).map((bytes) => bytes / 1024))
  ])
}, Effect.scoped)

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  yield* host
  const rows: Array<Row> = [...yield* resting(effort)]
  const { client } = yield* processes
  const measured = Effect.fnUntraced(function*(...loads: ReadonlyArray<Load>) {
    // Longer than elsewhere: what is young when a round begins is moved before it grows old.
    rows.push(...yield* measureAll([{ name: grown, agent: client }], loads, { ...effort, round: 4 * effort.round }))
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
