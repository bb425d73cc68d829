/**
 * How scenarios tell what they did: a line for each, the figures that docs/SECURITY.md shows, and, of a find, how to see it again.
 */
import { leaveFigures } from "../figures.ts"
import type { Outcome, Scenario } from "./Scenario.ts"

/** The most letters of a plan that are shown. */
const longest = 4000

/** What one run of a scenario did, and from which seed. */
export const line = ({ name }: Scenario, seed: number, { actions, cases, met, most }: Outcome): string => {
  const reasons = Array.from(met, ([what, times]) => `${what} ${times}`).sort().join(", ")
  return `${name}: seed ${seed}, ${cases} cases, ${actions} actions, ${Math.ceil(most / 1024)} KiB held at most${
    reasons === "" ? "" : ` (${reasons})`
  }`
}

/** What was found; undefined where nothing was. */
export const finding = ({ name }: Scenario, { find }: Outcome): string | undefined =>
  find && [
    `${name}: ${find.error}`,
    `the shortest plan that shows it: ${find.plan.length > longest ? `${find.plan.slice(0, longest)}…` : find.plan}`,
    `to run it again: npm run fuzz -- --scenario ${JSON.stringify(name)} --seed ${find.seed} --path ${find.path}`
  ].join("\n")

/** Keeps the figures where the documents' script finds them. */
export const keepFigures = (outcomes: ReadonlyArray<Outcome>): void => {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, outcome) => sum + of(outcome), 0)
  leaveFigures("hostile", { scenarios: outcomes.length, cases: sum(({ cases }) => cases), actions: sum(({ actions }) => actions) })
}
