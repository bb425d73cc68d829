/**
 * Random steps of several domains in the store and in a simple model of it; what differs is shrunk. `VCHAN_RUNS` says how often, 500 times where
 * not given, and `VCHAN_SEED` which.
 */
import * as fc from "fast-check"
import { describe, it } from "vitest"
import { leaveFigures } from "../figures.ts"
import { compare } from "./compare.ts"
import { Model } from "./Model.ts"
import { steps } from "./Step.ts"
import { Tree } from "./Tree.ts"

const seed = Number(process.env.VCHAN_SEED ?? 1)
const runs = Number(process.env.VCHAN_RUNS ?? 500)

describe("the store", () => {
  it(`does in ${runs} runs of random steps as a simple model of it`, { timeout: 30_000 + 100 * runs }, async () => {
    await fc.assert(fc.asyncProperty(steps, (steps) => compare(steps, new Tree(), new Model())), { seed, numRuns: runs })
    leaveFigures("model", { runs })
  })
})
