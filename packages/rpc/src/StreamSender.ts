/**
 * The sending end of a stream: encodes its items, and lets its producer go on only while the receiver takes them.
 *
 * It belongs to its call. At most one chunk waits in it, of no more than `longLength` bytes: an item that is longer waits as the producer gave it.
 * What was sent and not taken is bounded by the receiver's window, and what waits for the ring by the session's `highWater` and memory.
 */
import { Effect, Result } from "effect"
import type { Codec } from "./Codec.ts"
import { chunkCost, FrameType } from "./Frame.ts"
import { longLength, type Outgoing } from "./Outgoing.ts"
import { MessageTooLarge } from "./RpcError.ts"

export class StreamSender {
  private readonly out: Outgoing
  private readonly codec: Codec
  private readonly window: number
  private readonly limit: number
  private readonly index: number
  private readonly id: number
  private outstanding = 0
  /** How many items are encoded at once. */
  private fitting = 4
  private waiting: (() => void) | undefined = undefined
  private stopped = false
  /** A long chunk is on its way. */
  private sending = false

  constructor(options: {
    readonly out: Outgoing
    readonly codec: Codec
    /** What the receiver takes before it gives credit. */
    readonly window: number
    /** The most bytes of a message. */
    readonly limit: number
    /** The method's index in the client's Hello. */
    readonly index: number
    readonly id: number
  }) {
    this.out = options.out
    this.codec = options.codec
    this.window = options.window
    this.limit = options.limit
    this.index = options.index
    this.id = options.id
  }

  /** Sends the items; done when more may come. Dies with MessageTooLarge for an item that the receiver does not take. */
  readonly emit = (values: ReadonlyArray<unknown>): Effect.Effect<void> => this.from(values, 0)

  /** Sends the items from that one on. No more are encoded at once than fit in a chunk, or not many: nobody else has a turn meanwhile. */
  private from(values: ReadonlyArray<unknown>, start: number): Effect.Effect<void> {
    const { limit, window } = this
    if (this.stopped) return Effect.void
    const end = Math.min(values.length, start + this.fitting)
    const encoded = this.codec.encode(end - start === values.length ? values : values.slice(start, end))
    if (Result.isFailure(encoded)) return Effect.die(new Error(`an item of the stream cannot be encoded: ${encoded.failure}`))
    const body = encoded.success
    const { length } = body
    const items = end - start
    const cost = chunkCost(length, items)
    const fair = Math.min(longLength, window, limit)
    if (cost > fair && items > 1) {
      this.fitting = items >> 1
      return this.from(values, start)
    }
    if (length > limit) return Effect.die(new MessageTooLarge({ what: "item", length, limit }))
    // By what these took; but the next may be longer.
    if (items === this.fitting) this.fitting = Math.max(items, Math.min(items * 16, Math.floor(items * fair / cost)))
    const sent = this.chunk(body, cost, values, start)
    return end === values.length ? sent : Effect.andThen(sent, Effect.suspend(() => this.from(values, end)))
  }

  /** Sends what was encoded, the items from that one on. */
  private chunk(body: Uint8Array, cost: number, values: ReadonlyArray<unknown>, start: number): Effect.Effect<void> {
    const { length } = body
    if (length > longLength) {
      return this.maySend(cost, length)
        ? this.sendLong(body.slice(), cost)
        : this.wait(cost, length, () => this.emit(values.slice(start, start + 1)))
    }
    if (!this.maySend(cost, 0)) {
      // The codec's bytes are a view that does not last.
      const kept = body.slice()
      return this.wait(cost, 0, () => this.send(kept, cost))
    }
    return this.send(body, cost)
  }

  /** The receiver has taken chunks of that cost; false where it cannot have. */
  credit(cost: number): boolean {
    if (cost > this.outstanding) return false
    this.outstanding -= cost
    this.resume()
    return true
  }

  /** Goes on, if it waits and may. */
  resume(): void {
    this.waiting?.()
  }

  /** Nobody takes anything any more: what is on its way is taken back, and what is still emitted is dropped. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    if (this.sending) this.out.cancel(this.id)
    this.waiting?.()
  }

  private wait(cost: number, long: number, next: () => Effect.Effect<void>): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.waiting = () => {
        if (!this.stopped && !this.maySend(cost, long)) return
        this.waiting = undefined
        resume(this.stopped ? Effect.void : next())
      }
      this.resume()
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  }

  // Less than a quarter of the window outstanding always lets one more chunk go: the receiver gives credit by quarters.
  private maySend(cost: number, long: number): boolean {
    const { out, outstanding, window } = this
    return !out.isFull() && (outstanding + cost <= window || outstanding < window / 4) && (long === 0 || out.hasRoom(long))
  }

  private send(body: Uint8Array, cost: number): Effect.Effect<void> {
    this.outstanding += cost
    this.out.send(FrameType.Chunk, this.index, this.id, body)
    return Effect.void
  }

  /** The next chunk must not go past this one, so it is done only when this has gone in whole. */
  private sendLong(body: Uint8Array, cost: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const { id, index, out } = this
      const done = () => {
        this.sending = false
        this.waiting = undefined
        resume(Effect.void)
      }
      this.outstanding += cost
      this.sending = true
      this.waiting = () => this.stopped ? done() : undefined
      out.sendLong({ type: FrameType.Chunk, flags: 0, method: index, id, body, done })
      return Effect.sync(() => {
        if (this.sending) out.cancel(id)
        this.sending = false
        this.waiting = undefined
      })
    })
  }
}
