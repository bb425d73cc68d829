/**
 * The receiving end of a stream: the items that have come and nobody has taken yet, and the credit for those that were.
 *
 * It belongs to the Scope of the stream that pulls it. What it holds is bounded: the sender may have chunks of a cost of `window` outstanding,
 * and one chunk more when less than a quarter of the window is. Credit goes back by quarters of the window, as the consumer takes.
 */
import { Array as Arr, Cause, Effect, Exit, type Pull, Result } from "effect"
import type { Codec } from "./Codec.ts"
import type { VchanRpcError } from "./RpcError.ts"

/** The stream's own error, which only the definition's type knows, or the engine's. */
type Failure = VchanRpcError | Cause.Done

type Items = Arr.NonEmptyReadonlyArray<unknown>

interface Chunk {
  readonly values: Items
  readonly cost: number
}

/** The items of a chunk, or what is wrong with it. `maxMessage` is the most bytes of it. */
export const itemsOf = (codec: Codec, body: Uint8Array, maxMessage: number): Result.Result<Items, string> =>
  Result.flatMap(
    codec.decode(body, maxMessage),
    (items) =>
      Array.isArray(items) && Arr.isReadonlyArrayNonEmpty<unknown>(items) ? Result.succeed(items) : Result.fail("a chunk without items")
  )

export class StreamReceiver {
  /** The cost of chunks that the sender may have outstanding. */
  readonly window: number
  private readonly credit: (count: number) => boolean
  private readonly chunks: Array<Chunk> = []
  private next = 0
  private outstanding = 0
  private taken = 0
  private outcome: Exit.Exit<never, Failure> | undefined = undefined
  private waiting: ((effect: Effect.Effect<Items, Failure>) => void) | undefined = undefined

  /** `credit` tells the sender that the consumer has taken chunks of that cost; false where it cannot now: then `account` tries again. */
  constructor(window: number, credit: (count: number) => boolean) {
    this.window = window
    this.credit = credit
  }

  /** Whether an honest sender may send a chunk of that cost now. */
  mayTake(cost: number): boolean {
    return this.outstanding + cost <= this.window || this.outstanding < this.window / 4
  }

  /** The most bytes of a chunk that an honest sender may begin now, whose items cost no more than the window; 1 where it may begin none. */
  get room(): number {
    return this.outstanding < this.window / 4 ? this.window : Math.max(1, this.window - this.outstanding)
  }

  /** A chunk came. */
  take(values: Items, cost: number): void {
    this.outstanding += cost
    const { waiting } = this
    if (waiting === undefined) {
      this.chunks.push({ values, cost })
      return
    }
    this.waiting = undefined
    this.account(cost)
    waiting(Effect.succeed(values))
  }

  /** The stream ended at its sender, or can give no more. What has come before is still given out. */
  readonly settle = (exit: Exit.Exit<unknown, unknown>): void => {
    if (this.outcome !== undefined) return
    const outcome = Exit.isSuccess(exit) ? Exit.fail(Cause.Done()) : exit as Exit.Exit<never, Failure>
    this.outcome = outcome
    this.waiting?.(outcome)
    this.waiting = undefined
  }

  /** Gives the next items, waiting for them where there are none. */
  readonly pull: Pull.Pull<Items, VchanRpcError> = Effect.suspend(() => {
    const chunk = this.chunks[this.next]
    if (chunk === undefined) {
      return this.outcome ?? Effect.callback<Items, Failure>((resume) => {
        this.waiting = resume
        return Effect.sync(() => {
          this.waiting = undefined
        })
      })
    }
    this.next++
    // Half of them gone: few moves a chunk, and what was given out is not held.
    if (this.next * 2 >= this.chunks.length) {
      this.chunks.splice(0, this.next)
      this.next = 0
    }
    this.account(chunk.cost)
    return Effect.succeed(chunk.values)
  })

  /** The consumer has taken chunks of that cost. */
  account(cost: number): void {
    this.taken += cost
    if (this.outcome !== undefined || this.taken < this.window / 4 || !this.credit(this.taken)) return
    this.outstanding -= this.taken
    this.taken = 0
  }
}
