/**
 * Each scenario for its part of the time: `VCHAN_SECONDS` for all of them, 6 where not given. `npm run fuzz -- --minutes 5` goes on for longer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import { randomInt } from "node:crypto"
import { afterAll } from "vitest"
import { finding, keepFigures, line } from "./report.ts"
import type { Outcome } from "./Scenario.ts"
import { scenarios } from "./scenarios.ts"

const millis = 1000 * Number(process.env.VCHAN_SECONDS ?? 6) / scenarios.length

const outcomes: Array<Outcome> = []

describe("whatever a hostile peer does, it hurts nobody but itself", () => {
  for (const scenario of scenarios) {
    it.live(scenario.name, () =>
      Effect.gen(function*() {
        const seed = randomInt(2 ** 30)
        const outcome = yield* scenario.run({ seed, millis })
        outcomes.push(outcome)
        yield* Console.log(line(scenario, seed, outcome))
        assert.isUndefined(finding(scenario, outcome))
        assert.isAbove(outcome.cases, 0)
      }), 120_000 + 2 * millis)
  }

  afterAll(() => keepFigures(outcomes))
})
