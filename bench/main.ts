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
import { goals, ratioOf } from "./goals.ts"
import { keep, plain, type Results, where } from "./report.ts"

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
const effort = isSmoke ? { warmUp: 0.1, round: 0.02, rounds: 3 } : { warmUp: 0.5, round: 0.15, rounds: 5 }
const names = words.filter((word) => !word.startsWith("--"))

const bench = Effect.gen(function*() {
  let results: Results = {}
  for (const name of names.length > 0 ? names : Object.keys(comparisons)) {
    const comparison = comparisons[name]
    if (comparison === undefined) {
      return yield* Effect.die(new Error(`there is no comparison ${name}, but ${Object.keys(comparisons).join(", ")}`))
    }
    const table = yield* Effect.scoped(comparison(effort))
    yield* Console.log(plain(table))
    results = { ...results, [name]: { where: where(), table } }
  }
  if (!isSmoke) return keep(results)
  const low = goals.flatMap((goal) => {
    const ratio = ratioOf(goal, results)
    return ratio !== undefined && goal.floor !== undefined && ratio < goal.floor
      ? [`${goal.name}: ${ratio.toFixed(2)}, and ${goal.floor} is the least`]
      : []
  })
  if (low.length > 0) return yield* Effect.die(new Error(low.join("\n")))
})

bench.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
