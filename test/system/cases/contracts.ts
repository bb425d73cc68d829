/**
 * The suites that every backend passes.
 */
import { Effect } from "effect"
import { BenchError } from "../Programs.ts"
import type { Case } from "../World.ts"

/** A suite runs as a process of Node's test runner, whose words are TAP's. */
export const contracts: ReadonlyArray<Case> = (["dom0", "one"] as const).flatMap((where) =>
  ["GrantTable", "EventChannel", "Vchan", "XenStore"].map((suite): Case => ({
    name: `the contract of ${suite} holds in ${where === "dom0" ? "dom0" : "a guest"}`,
    run: Effect.fnUntraced(function*(world) {
      const runner = yield* world[where].start(["node", "--test-reporter=tap", "/bench/conformance.js", suite])
      const code = yield* runner.exit
      if (code !== 0) {
        const name = yield* runner.said("    not ok")
        const why = yield* runner.said("      error:")
        return yield* new BenchError({ message: `${name}: ${why === "|-" ? yield* runner.said("        ") : why}` })
      }
      const count = Number(yield* runner.said("    1.."))
      for (let index = 1; index <= count; index++) yield* world.note(`- ${yield* runner.said(`    ok ${index} -`)}`)
    })
  }))
)
