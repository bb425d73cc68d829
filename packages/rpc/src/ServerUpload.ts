/**
 * The server's end of the stream that a caller gives with its call: what has come of it, for the handler to take.
 *
 * It belongs to its call, and gives nothing more once that is over. A handler that leaves the stream before its end lets the client know.
 */
import { Effect, Exit, Result, Stream } from "effect"
import type { UploadCodecs } from "./Contract.ts"
import { chunkCost } from "./Frame.ts"
import { BadPayload } from "./RpcError.ts"
import { itemsOf, StreamReceiver } from "./StreamReceiver.ts"

export class ServerUpload {
  /** What the handler reads, once. */
  readonly stream: Stream.Stream<unknown, unknown>
  private readonly codecs: UploadCodecs
  private readonly receiver: StreamReceiver
  private readonly onLeft: () => void
  private isRead = false
  /** Whether more may come, the client has ended it, or nobody wants it: then what still comes is dropped. */
  private phase: "open" | "ended" | "left" = "open"

  constructor(options: {
    readonly codecs: UploadCodecs
    /** The cost of what may have come and not been taken. */
    readonly window: number
    /** Gives the client credit; false where that cannot be now. */
    readonly credit: (cost: number) => boolean
    /** Called when the handler leaves the stream before its end. */
    readonly onLeft: () => void
  }) {
    this.codecs = options.codecs
    this.onLeft = options.onLeft
    this.receiver = new StreamReceiver(options.window, options.credit)
    this.stream = Stream.unwrap(Effect.as(
      Effect.acquireRelease(Effect.suspend(() => this.begin()), () => Effect.sync(() => this.leave())),
      Stream.fromPull(Effect.succeed(this.receiver.pull))
    ))
  }

  /** The bytes that the next chunk may have; 0 where it is dropped, or wrong. What comes in segments never takes more than the call's charge. */
  get room(): number {
    return this.phase === "open" ? this.receiver.room : 0
  }

  /** Items came. Gives the reason where they are none, and what breaks the protocol as a text. */
  chunk(body: Uint8Array): BadPayload | string | undefined {
    if (this.phase !== "open") return this.late()
    const { receiver } = this
    const { window } = receiver
    const items = itemsOf(this.codecs.items, body, window)
    if (Result.isFailure(items)) return new BadPayload({ detail: items.failure })
    const cost = chunkCost(body.length, items.success.length)
    if (body.length > window || !receiver.mayTake(cost)) return `more items than a window of ${window} bytes takes`
    receiver.take(items.success, cost)
    return undefined
  }

  /** The client's stream ended well, or with the error in the body. */
  end(body: Uint8Array | undefined): BadPayload | string | undefined {
    if (this.phase !== "open") return this.late()
    const error = body && this.codecs.failure.decode(body, this.receiver.window)
    if (error !== undefined && Result.isFailure(error)) return new BadPayload({ detail: error.failure })
    this.phase = "ended"
    this.receiver.settle(error === undefined ? Exit.void : Exit.fail(error.success))
    return undefined
  }

  /** Gives the client the credit that had to wait. */
  resume(): void {
    this.receiver.account(0)
  }

  /** The call is over, or is to be. */
  close(): void {
    if (this.phase === "open") this.phase = "left"
    this.receiver.settle(Exit.interrupt())
  }

  private late(): string | undefined {
    return this.phase === "ended" ? "more of a stream after its end" : undefined
  }

  private begin(): Effect.Effect<void> {
    if (this.isRead) return Effect.die(new Error("the stream of a call's payload was read for a second time: it comes once"))
    this.isRead = true
    return Effect.void
  }

  private leave(): void {
    if (this.phase !== "open") return
    this.close()
    this.onLeft()
  }
}
