/**
 * What many connections cost: calls as they grow, an idle process's CPU, the memory of each, and how long a first call takes.
 *
 * Nothing is compared with a peer: each row stands beside the one of a single connection.
 */
import { Effect } from "effect"
import { start } from "../Agent.ts"
import type { Comparison, Row } from "../comparison.ts"
import { host, program } from "../host.ts"
import { type Effort, type Figure, type Load, measure } from "../measure.ts"

/** The side's name. */
const grown = "vchan-rpc"

const calls = (connections: number, inFlight: number): Load => ({
  name: `small calls, ${connections} connection${connections === 1 ? "" : "s"}, ${inFlight} in flight on each`,
  unit: "/s",
  line: (count) => `adds ${inFlight} ${count}`,
  value: (count, seconds) => count / seconds,
  first: connections * inFlight * 2
})

const single = (value: number): Figure => ({ median: value, low: value, high: value })

const idleSeconds = ({ rounds }: Effort): number => rounds > 3 ? 10 : 1

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  yield* host
  yield* start(program("rpc/main.ts", "server", "vchan", ""))
  const [node = "", ...rest] = program("rpc/scale.ts").argv
  const agent = yield* start({ argv: [node, "--expose-gc", ...rest] })
  const side = { name: grown, agent }
  const rows: Array<Row> = []
  const add = (load: string, unit: string, figure: Figure) => rows.push({ load, unit, figures: { [grown]: figure } })
  const measured = Effect.fnUntraced(function*(load: Load) {
    const { [grown]: figure } = yield* measure([side], load, effort)
    if (figure !== undefined) add(load.name, load.unit, figure)
  })
  yield* measured({
    name: "connect, call once and close",
    unit: "ms",
    line: (count) => `first ${count}`,
    value: (count, seconds) => seconds / count * 1000
  })
  yield* agent.ask("open 1")
  for (const inFlight of [16, 256, 1024, 10_000]) yield* measured(calls(1, inFlight))
  for (const connections of [10, 50, 100, 200]) {
    const [, memory = Number.NaN] = yield* agent.ask(`open ${connections}`)
    yield* measured(calls(connections, 16))
    if (connections !== 100) continue
    const seconds = idleSeconds(effort)
    const [, micros = Number.NaN] = yield* agent.ask(`idle ${seconds}`)
    add(`client's CPU, 100 idle connections, ${seconds} s`, "ms", single(micros / 1000))
    add("client's memory beyond the rings, each connection", "KiB", single(memory / 1024))
  }
  return { title: "Growth", sides: [grown], rows }
})
