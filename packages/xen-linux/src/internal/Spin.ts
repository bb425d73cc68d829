/**
 * For how long a process looks about before it sleeps: as long as it is told, or, on Xen, as long as it has learnt to pay.
 *
 * Pure state, in milliseconds. Each belongs to one `EventSource`, which tells it how the waits went.
 */
import { Effect } from "effect"

/** The longest time to spin, in microseconds. */
export const maxSpinMicros = 1000

/** Dies where a caller asks for no such time. */
export const checkSpin = (micros: number): Effect.Effect<void> =>
  micros >= 0 && micros <= maxSpinMicros
    ? Effect.void
    : Effect.die(new RangeError(`spinMicros is ${micros}, and from 0 to ${maxSpinMicros} microseconds are allowed`))

/** How long to look about. Waits count from when the process was last busy. */
export interface Spin {
  /** How long a port stays awake after it was last busy; 0 for not at all. */
  readonly window: number
  /** Something came before the process slept. */
  readonly hit: (waited: number) => void
  /** Nothing came, and the process sleeps. */
  readonly missed: () => void
  /** An event woke it. */
  readonly woken: (waited: number) => void
}

const ignore = (): void => {}

/** Always the same time: on the emulated host the peer shares this machine's scheduler, and runs when this process gives its CPU away. */
export const fixedSpin = (micros: number): Spin => ({ window: micros / 1000, hit: ignore, missed: ignore, woken: ignore })

/** How many losses more than gains end the spinning: where it is tried, and where it has long paid. */
const trialTrust = 3
const mostTrust = 8
/** After how many short waits it is tried again: twice as many after each trial in vain. */
const shortestPause = 4
const longestPause = 512
/** What is left with each gain of what was learnt about waits without spinning, so that they are measured again now and then. */
const memory = 0.998

/**
 * Spins while that makes waits shorter. The peer runs on another virtual CPU: where that one has a processor to itself and is awake, the
 * answer comes sooner than this process could sleep and be woken. Where the two share a processor, spinning keeps the peer from answering.
 * So waits without spinning are measured, and a spin lasts no longer than they do: what comes later was no gain. Where spins lose, they are
 * tried ever more rarely; where waits are longer than two of the longest spins, never, for there the two wake-ups are the lesser part.
 */
export class AdaptiveSpin implements Spin {
  window = 0
  private readonly longest: number
  /** A short wait without spinning, on average. */
  private plain: number
  private trust = 0
  private spun = false
  private pause = shortestPause
  private untilTrial = shortestPause

  constructor(longestMicros: number) {
    this.longest = longestMicros / 1000
    this.plain = this.longest
  }

  hit(waited: number): void {
    if (this.trust === 0) return this.learn(waited)
    if (waited >= this.plain) return this.lose()
    this.trust = Math.min(this.trust + 1, mostTrust)
    this.pause = shortestPause
    this.plain *= memory
    this.open()
  }

  missed(): void {
    this.spun = this.trust > 0
    if (this.spun) this.lose()
  }

  woken(waited: number): void {
    if (!this.spun) this.learn(waited)
    this.spun = false
  }

  private lose(): void {
    this.trust--
    if (this.trust > 0) return
    this.window = 0
    this.untilTrial = this.pause
    this.pause = Math.min(2 * this.pause, longestPause)
  }

  private learn(waited: number): void {
    if (waited > 2 * this.longest || this.trust > 0) return
    this.plain += (waited - this.plain) / 4
    this.untilTrial--
    if (this.untilTrial > 0) return
    this.trust = trialTrust
    this.open()
  }

  private open(): void {
    this.window = Math.min(this.plain, this.longest)
  }
}
