/**
 * How everything is measured: all sides in one run, in turns, after a warm-up; medians of the rounds, with their spread.
 */
import { Effect } from "effect"
import type { Agent, AgentError } from "./Agent.ts"
import type { Row } from "./comparison.ts"

/** One of those that are compared. */
export interface Side {
  readonly name: string
  readonly agent: Agent
}

/** What each side is asked to do. */
export interface Load {
  readonly name: string
  readonly unit: "us" | "ms" | "/s" | "GiB/s"
  /** The line that asks for `count` operations. */
  readonly line: (count: number) => string
  /** The value of a run that took `seconds`; `more` is what else the agent answered. */
  readonly value: (count: number, seconds: number, more: ReadonlyArray<number>) => number
  /** How many operations the first run has. */
  readonly first?: number
  /** The most operations of a run. */
  readonly most?: number
}

/** How long things take, in seconds. */
export interface Effort {
  readonly warmUp: number
  readonly round: number
  readonly rounds: number
  /** To see that it works, and no more: what takes its time whatever the rounds is cut short. */
  readonly isBrief: boolean
}

/** The median of the rounds, and the lowest and the highest of them. */
export interface Figure {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** What rounds found. */
export const figure = (values: ReadonlyArray<number>): Figure => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  return { median: at(sorted.length >> 1), low: at(0), high: at(sorted.length - 1) }
}

const run = Effect.fnUntraced(function*({ agent }: Side, load: Load, count: number) {
  const [seconds = Number.NaN, ...more] = yield* agent.ask(load.line(count))
  return { seconds, value: load.value(count, seconds, more) }
})

/** Runs a load until the time is over, and gives how many operations fill one round. */
const warmUp = Effect.fnUntraced(function*(side: Side, load: Load, effort: Effort) {
  const most = load.most ?? Infinity
  let count = Math.min(load.first ?? 1, most)
  for (let spent = 0;;) {
    const { seconds } = yield* run(side, load, count)
    spent += seconds
    const fitting = Math.min(most, Math.max(1, Math.round(count * Math.min(8, effort.round / seconds))))
    if (spent >= effort.warmUp || (count === most && fitting === most && spent > effort.warmUp / 4)) return fitting
    count = fitting
  }
})

/** Measures one load on all sides. */
const measure = Effect.fnUntraced(function*(
  sides: ReadonlyArray<Side>,
  load: Load,
  effort: Effort
): Effect.fn.Return<Readonly<Record<string, Figure>>, AgentError> {
  const entries = yield* Effect.forEach(
    sides,
    (side) => Effect.map(warmUp(side, load, effort), (count) => ({ side, count, values: Array<number>() }))
  )
  for (let round = 0; round < effort.rounds; round++) {
    for (const { count, side, values } of entries) values.push((yield* run(side, load, count)).value)
  }
  return Object.fromEntries(entries.map(({ side, values }) => [side.name, figure(values)]))
})

/** Measures some loads on all sides, one after the other. */
export const measureAll = (sides: ReadonlyArray<Side>, loads: ReadonlyArray<Load>, effort: Effort) =>
  Effect.forEach(
    loads,
    (load) => Effect.map(measure(sides, load, effort), (figures): Row => ({ load: load.name, unit: load.unit, figures }))
  )
