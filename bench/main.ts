/**
 * `npm run bench`, or `npm run bench -- NAME...` for some comparisons: measures, prints, keeps the results and writes the documents anew.
 * `--smoke` runs everything briefly instead, keeps nothing, and fails where a ratio is far below what it has to be.
 *
 * All that is started are processes of their own, which end with this one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import type { Comparison } from "./comparison.ts"
import * as beside from "./comparisons/beside.ts"
import * as codec from "./comparisons/codec.ts"
import * as hosts from "./comparisons/hosts.ts"
import * as raw from "./comparisons/raw.ts"
import * as rings from "./comparisons/rings.ts"
import * as rpc from "./comparisons/rpc.ts"
import * as scale from "./comparisons/scale.ts"
import * as startup from "./comparisons/startup.ts"
import { type Held, held } from "./floors.ts"
import { keep, plain, where } from "./report.ts"

const comparisons: Readonly<Record<string, Comparison>> = {
  raw: raw.comparison,
  rings: rings.comparison,
  rpc: rpc.comparison,
  codec: codec.comparison,
  scale: scale.comparison,
  beside: beside.comparison,
  hosts: hosts.comparison,
  startup: startup.comparison
}

const words = process.argv.slice(2)
const isSmoke = words.includes("--smoke")
const effort = isSmoke ? { warmUp: 0.1, round: 0.02, rounds: 5, isBrief: true } : { warmUp: 0.3, round: 0.12, rounds: 5, isBrief: false }
const names = words.filter((word) => !word.startsWith("--"))

const measured = Effect.fnUntraced(function*(name: string) {
  const comparison = comparisons[name]
  if (comparison === undefined) {
    return yield* Effect.die(new Error(`there is no comparison ${name}, but ${Object.keys(comparisons).join(", ")}`))
  }
  const table = yield* Effect.scoped(comparison(effort))
  yield* Console.log(plain(table))
  return [name, { where: where(), table }] as const
})

/** How often a comparison is run before a ratio that is too low is believed. */
const tries = 3

const told = ({ least, name, ratio }: Held): string =>
  ratio === undefined ? `${name}: not measured here` : `${name}: ${ratio.toFixed(2)}, and ${least} is the least`

/** Gives what is too low each time. What is not measured is too low as well, but where the machine lacks something for it. */
const smoke = Effect.fnUntraced(function*(name: string) {
  let low: ReadonlyArray<Held> | undefined
  for (let left = tries; left > 0; left--) {
    const [, result] = yield* measured(name)
    const ratios = held(name, { [name]: result })
    yield* Console.log(ratios.map(told).join("\n"))
    const isLow = ({ least, ratio = result.table.left?.length ? Infinity : 0 }: Held) => ratio < least
    const before = low
    low = ratios.filter((ratio) => isLow(ratio) && (before?.some(({ name }) => name === ratio.name) ?? true))
    if (low.length === 0) return low
    yield* Console.log(`too low, which may be another's load: ${low.map(({ name }) => name).join("; ")}`)
  }
  return low ?? []
})

const bench = Effect.gen(function*() {
  const chosen = names.length > 0 ? names : Object.keys(comparisons)
  if (!isSmoke) return keep(Object.fromEntries(yield* Effect.forEach(chosen, measured)))
  const low = (yield* Effect.forEach(chosen, smoke)).flat()
  if (low.length > 0) return yield* Effect.die(new Error(low.map(told).join("\n")))
})

bench.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
