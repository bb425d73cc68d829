/**
 * The same steps as in model.test.ts, with C xenstored as the judge. `VCHAN_RUNS` says how often, 50 times where not given, and `VCHAN_SEED` which.
 */
import * as fc from "fast-check"
import { it } from "vitest"
import { leaveFigures } from "../figures.ts"
import { describeDebian } from "../interop/debian.ts"
import { compare } from "./compare.ts"
import { Model } from "./Model.ts"
import { type Step, steps } from "./Step.ts"
import type { Store } from "./Store.ts"
import { Tree } from "./Tree.ts"
import { Xenstored } from "./Xenstored.ts"

const seed = Number(process.env.VCHAN_SEED ?? 1)
const runs = Number(process.env.VCHAN_RUNS ?? 50)

describeDebian(`as Debian's xenstored in ${runs} runs of random steps`, (debian) => {
  const compared = async (steps: ReadonlyArray<Step>, store: Store) => {
    const xenstored = await Xenstored.start(debian)
    try {
      await compare(steps, store, xenstored)
    } finally {
      await xenstored.close()
    }
  }

  const asXenstored = (name: string, make: () => Store) =>
    it(`does ${name}`, { timeout: 30_000 + 1000 * runs }, async () => {
      await fc.assert(fc.asyncProperty(steps, (steps) => compared(steps, make())), { seed, numRuns: runs })
      leaveFigures(`xenstored-${name.split(" ").at(-1)}`, { runs })
    })

  asXenstored("the store", () => new Tree())
  asXenstored("the model", () => new Model())
})
