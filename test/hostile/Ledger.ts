/**
 * What an attack costs the honest side: the memory that it holds at the end of it, and how often its callbacks found work. One for each case of a
 * scenario; a full collection takes longer than most cases, so only some are weighed.
 */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** What this process holds: the heap, and what lies outside of it for its buffers, once all garbage is gone. In bytes. */
const held = (): number => {
  collect()
  // Buffers go after those who hold them.
  collect()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** What compiled code and the collector's own books add, that are nobody's in particular. In bytes. */
const noise = 256 * 1024

/** Rounds of the event loop, ever. */
const rounds = (): number => performance.nodeTiming.uvMetricsInfo.loopCount

/** How often the ports of an attacked process were asked, as `counted` counts. */
export interface Work {
  /** With something to do. */
  readonly busy: () => number
  /** Before they slept. */
  readonly arms: () => number
}

/** Callbacks that may find work in one round of the loop: as many as a port of the memory backend, which has none of the loop's own coalescing. */
const busyPerRound = 64

export class Ledger {
  /** What the honest side met: a reason's tag. */
  readonly note: (met: string) => void
  /** The memory that the honest side held, where it was weighed. */
  weighed: number | undefined = undefined
  private readonly weighs: boolean
  private before = 0
  private begun = 0

  constructor(weighs: boolean, note: (met: string) => void) {
    this.weighs = weighs
    this.note = note
  }

  /** The honest side is ready to be attacked. */
  readonly begin: Effect.Effect<void> = Effect.sync(() => {
    if (this.weighs) this.before = held()
    this.begun = rounds()
  })

  /** Dies where the honest side holds more than it may: beside what it held before, and what the attacker holds in this process. */
  readonly weigh = (allowed: number, others: () => number): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!this.weighs) return Effect.void
      this.weighed = held() - this.before - others()
      return this.weighed > allowed + noise
        ? Effect.die(new Error(`the honest side holds ${this.weighed} bytes at the end of the attack, and may hold ${allowed}`))
        : Effect.void
    })

  /** Dies where callbacks found work more often than the peer, or this side, did something: events without any must come to nothing. */
  readonly worked = ({ arms, busy }: Work, actions: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const allowed = busyPerRound * (rounds() - this.begun + actions + 1)
      return busy() + arms() > allowed
        ? Effect.die(new Error(`the honest side was at work ${busy()} times and slept ${arms()} times, and ${allowed} were allowed`))
        : Effect.void
    })
}
