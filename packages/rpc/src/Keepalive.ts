/**
 * Keepalive: notices a peer that has fallen silent. It is the last resort where nothing else tells of a peer's end: on Xen an unprivileged
 * server hears no event, and reads no changed byte, when the domain of its client is destroyed.
 *
 * It belongs to a session, from the Hello to the session's end, and owns one timer, which never keeps a process alive. While the peer does
 * anything at all, the timer only looks on.
 */
import { Duration } from "effect"

/** When a silent peer is asked whether it lives, and how long it may take to answer. */
export interface KeepaliveOptions {
  /** How long the peer may be silent before it is asked: 30 seconds where left out. */
  readonly interval?: Duration.Input | undefined
  /** How long it may then be silent still, before the connection ends with `PeerSilent`: 30 seconds where left out. */
  readonly timeout?: Duration.Input | undefined
}

/** The same in milliseconds; undefined where a silent peer is never asked. */
export type Keepalive = { readonly interval: number; readonly timeout: number } | undefined

const shortest = 1
/** The longest that a timer of JavaScript can wait, about 24 days. */
export const longestTimer = 0x7FFF_FFFF

const millis = (input: Duration.Input | undefined): number => {
  const value = Duration.toMillis(input ?? "30 seconds")
  if (!(value >= shortest)) throw new RangeError("a keepalive's interval and timeout are at least a millisecond: use false for none")
  return Math.min(value, longestTimer)
}

/** Fills the defaults in. Throws RangeError for times below a millisecond. */
export const keepaliveFrom = (options: KeepaliveOptions | false | undefined): Keepalive =>
  options === false ? undefined : { interval: millis(options?.interval), timeout: millis(options?.timeout) }

/** Watches one peer. */
export class Watch {
  private readonly keepalive: Keepalive
  private readonly peer: {
    /** A number that changes with whatever the peer does, and with nothing else. */
    readonly progress: () => number
    readonly ask: () => void
    readonly silent: (silentMillis: number) => void
  }
  private timer: NodeJS.Timeout | undefined = undefined
  private seen = 0
  private asked = false

  constructor(keepalive: Keepalive, peer: Watch["peer"]) {
    this.keepalive = keepalive
    this.peer = peer
  }

  /** Begins to watch. */
  start(): void {
    if (this.keepalive === undefined) return
    this.seen = this.peer.progress()
    this.wait(this.keepalive.interval)
  }

  /** Watches no more. */
  stop(): void {
    clearTimeout(this.timer)
  }

  private wait(duration: number): void {
    this.timer = setTimeout(() => this.look(), duration)
    this.timer.unref()
  }

  private look(): void {
    if (this.keepalive === undefined) return
    const { interval, timeout } = this.keepalive
    const progress = this.peer.progress()
    if (progress !== this.seen) {
      this.seen = progress
      this.asked = false
      this.wait(interval)
    } else if (this.asked) {
      this.peer.silent(interval + timeout)
    } else {
      this.asked = true
      this.wait(timeout)
      this.peer.ask()
    }
  }
}
