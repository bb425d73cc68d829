/**
 * Runs of consecutive numbers, lent out and taken back: grant references, which a share wants side by side.
 *
 * Plain data of whoever holds it. Numbers taken back are lent again before fresh ones, the lowest first.
 */

interface Run {
  readonly first: number
  readonly count: number
}

/** Lends runs of numbers in `first <= n < end`. */
export class Runs {
  private free: ReadonlyArray<Run>

  constructor(first: number, end: number) {
    this.free = [{ first, count: end - first }]
  }

  /** The first number of a run of `count`, or undefined where no run is that long. */
  take(count: number): number | undefined {
    const found = this.free.find((run) => run.count >= count)
    if (found === undefined) return undefined
    this.free = this.free.flatMap((run) => {
      if (run !== found) return [run]
      return run.count === count ? [] : [{ first: run.first + count, count: run.count - count }]
    })
    return found.first
  }

  /** Takes a run back. */
  give(first: number, count: number): void {
    const merged: Array<Run> = []
    for (const run of [...this.free, { first, count }].sort((a, b) => a.first - b.first)) {
      const last = merged.at(-1)
      if (last !== undefined && last.first + last.count === run.first) {
        merged[merged.length - 1] = { first: last.first, count: last.count + run.count }
      } else {
        merged.push(run)
      }
    }
    this.free = merged
  }
}
