/**
 * Explorations as tests: each prints how many states it visited. `VCHAN_EXPLORE=large` makes them go further. What a test file counted is left
 * among the figures.
 */
import { afterAll, assert, expect, it } from "@effect/vitest"
import * as path from "node:path"
import { leaveFigures } from "../figures.ts"
import { type Exploration, explore, type Found } from "./explore.ts"
import type { Strength } from "./Memory.ts"

/** Whether there is time for more. */
export const large = process.env["VCHAN_EXPLORE"] === "large"

/** So many states are visited at most: more do not fit into memory. */
const limit = 5_000_000

const counted = { scenarios: 0, states: 0, mutations: 0 }

afterAll(() => leaveFigures(`explorer-${path.basename(expect.getState().testPath ?? "", ".test.ts")}`, counted))

type Scenario = Omit<Exploration, "strength">

const visit = (name: string, strength: Strength, scenario: Scenario): Found => {
  const started = performance.now()
  const found = explore({ limit, ...scenario, strength })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${name}, ${strength}: ${found.states} states, ${found.ends} ends, ${seconds} s`)
  return found
}

/** Where nothing else is said: all that sequential memory allows, x86 allows, too. */
const machines: ReadonlyArray<Strength> = ["x86", "arm"]

/** Nothing is wrong, whatever the order. */
export const holds = (name: string, scenario: () => Scenario, on = machines): void => {
  for (const strength of on) {
    it(`${name} (${strength})`, { timeout: large ? 1_800_000 : 120_000 }, () => {
      const { complete, ends, failure, states } = visit(name, strength, scenario())
      assert.isUndefined(failure, [failure?.what, ...failure?.way ?? []].join("\n"))
      assert.isTrue(complete, "there are more states than the limit")
      assert.isAbove(ends, 0)
      counted.scenarios++
      counted.states += states
    })
  }
}

/** The explorer finds what is wrong. */
export const finds = (name: string, wrong: RegExp, scenario: () => Scenario, on = machines): void => {
  for (const strength of on) {
    it(`${name} is found (${strength})`, { timeout: 120_000 }, () => {
      assert.match(visit(name, strength, scenario()).failure?.what ?? "nothing", wrong)
      counted.mutations++
    })
  }
}
