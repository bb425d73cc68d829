/**
 * What is told of some results in one number, most often a ratio, which machine and load change less than any time. Undefined where something of
 * it was not measured.
 */
import type { Row } from "./comparison.ts"
import type { Results } from "./report.ts"

export type Measured = (results: Results) => number | undefined

/** Less is better where times are told. */
export const isTime = ({ unit }: Row): boolean => !unit.endsWith("/s")

/** What one side found. */
export const found = (comparison: string, load: string, side: string): Measured => (results) =>
  results[comparison]?.table.rows.find((row) => row.load === load)?.figures[side]?.median

/** In how many times `ours` does better than the one of the others that does best. */
export const ahead = (comparison: string, load: string, ours: string, ...others: ReadonlyArray<string>): Measured => (results) => {
  const row = results[comparison]?.table.rows.find((row) => row.load === load)
  const own = row?.figures[ours]?.median
  const theirs = others.flatMap((name) => row?.figures[name]?.median ?? [])
  if (row === undefined || own === undefined || theirs.length === 0) return undefined
  return isTime(row) ? Math.min(...theirs) / own : own / Math.max(...theirs)
}

/** In how many times a load costs more than a smaller one, at most; the times of loads that grow. */
export const rise = (comparison: string, loads: ReadonlyArray<string>, side: string): Measured => (results) => {
  const costs = loads.map((load) => found(comparison, load, side)(results) ?? Number.NaN)
  const rises = costs.map((cost, at) => cost / Math.min(...costs.slice(0, at + 1)))
  return rises.some(Number.isNaN) ? undefined : Math.max(...rises)
}
