/**
 * The server's end of a stream: encodes the handler's items, and lets the handler go on only while the client takes them.
 *
 * It belongs to its call. At most one chunk waits in it; what was sent and not taken is bounded by the client's window, and what waits for
 * the ring by the session's `highWater`.
 */
import { Effect, Result } from "effect"
import type { Codec } from "./Codec.ts"
import { chunkCost, FrameType } from "./Frame.ts"
import type { Limits } from "./Limits.ts"
import { FrameTooLarge } from "./RpcError.ts"
import type { Session } from "./Session.ts"

/** Items are gathered up to this cost in one frame, so that a stream leaves room between its frames for other calls. */
const chunkLimit = 64 * 1024

export class ServerStream {
  private readonly session: Session
  private readonly codec: Codec
  private readonly peer: Limits
  /** The method's index in the client's Hello. */
  private readonly index: number
  private readonly id: number
  private outstanding = 0
  private waiting: (() => void) | undefined = undefined

  constructor(options: {
    readonly session: Session
    readonly codec: Codec
    readonly peer: Limits
    readonly index: number
    readonly id: number
  }) {
    this.session = options.session
    this.codec = options.codec
    this.peer = options.peer
    this.index = options.index
    this.id = options.id
  }

  /** Sends the items; done when more may come. Dies with FrameTooLarge for an item that the client does not take. */
  readonly emit = (values: ReadonlyArray<unknown>): Effect.Effect<void> => {
    const { maxFrame, window } = this.peer
    const encoded = this.codec.encode(values)
    if (Result.isFailure(encoded)) return Effect.die(new Error(`an item of the stream cannot be encoded: ${encoded.failure}`))
    const body = encoded.success
    const cost = chunkCost(body.length, values.length)
    if (cost > Math.min(chunkLimit, window, maxFrame) && values.length > 1) {
      const half = values.length >> 1
      return Effect.andThen(this.emit(values.slice(0, half)), Effect.suspend(() => this.emit(values.slice(half))))
    }
    if (body.length > maxFrame) return Effect.die(new FrameTooLarge({ what: "item", length: body.length, limit: maxFrame }))
    if (this.maySend(cost)) {
      this.send(body, cost)
      return Effect.void
    }
    // The codec's bytes are a view that does not last.
    return this.wait(body.slice(), cost)
  }

  /** The client has taken chunks of that cost; false where it cannot have. */
  credit(cost: number): boolean {
    if (cost > this.outstanding) return false
    this.outstanding -= cost
    this.resume()
    return true
  }

  /** Sends the chunk that waits, if it may go now. */
  resume(): void {
    this.waiting?.()
  }

  private wait(body: Uint8Array, cost: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.waiting = () => {
        if (!this.maySend(cost)) return
        this.waiting = undefined
        this.send(body, cost)
        resume(Effect.void)
      }
      this.resume()
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  }

  // Less than a quarter of the window outstanding always lets one more chunk go: the client gives credit by quarters.
  private maySend(cost: number): boolean {
    const { window } = this.peer
    return !this.session.isFull() && (this.outstanding + cost <= window || this.outstanding < window / 4)
  }

  private send(body: Uint8Array, cost: number): void {
    this.outstanding += cost
    this.session.send(FrameType.Chunk, this.index, this.id, body)
  }
}
