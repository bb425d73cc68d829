/**
 * The suites that every backend passes.
 */
import { Effect } from "effect"
import { BenchError } from "../Programs.ts"
import type { Case } from "../World.ts"

/** A suite runs as a process of Node's test runner; each test of it is noted, one that is skipped with its reason. */
export const contracts: ReadonlyArray<Case> = ["GrantTable", "EventChannel", "Vchan", "XenStore"].flatMap((suite) =>
  (["dom0", "one"] as const).map((where): Case => ({
    name: `the contract of ${suite} holds in ${where === "dom0" ? "dom0" : "a guest"}`,
    run: Effect.fnUntraced(function*(world) {
      const runner = yield* world[where].start(["node", "--test-reporter=/bench/suite-report.js", "/bench/conformance.js", suite])
      const code = yield* runner.exit
      const pages = Number(yield* runner.said("pages"))
      for (let page = 1; page <= pages; page++) {
        yield* Effect.forEach((yield* runner.said(`page ${page}`)).split(" | "), (line) => world.note(line))
      }
      if (code !== 0) return yield* new BenchError({ message: `the suite ended with ${code}` })
    })
  }))
)
