/**
 * The client's end of the stream that a caller gives with its call: one fiber, which runs it and sends its items as far as the server takes
 * them.
 *
 * It belongs to its call: when that is over, or the server wants no more, the fiber is interrupted, and `end` tells when its finalizers have
 * run.
 */
import { Cause, Context, Effect, Exit, type Fiber, Result, Stream, Tracer } from "effect"
import type { Asked } from "./ClientEnvelope.ts"
import type { UploadCodecs } from "./Contract.ts"
import { FrameType, maxBody } from "./Frame.ts"
import type { Limits } from "./Limits.ts"
import type { Outgoing } from "./Outgoing.ts"
import { MessageTooLarge } from "./RpcError.ts"
import { StreamSender } from "./StreamSender.ts"

interface Options {
  readonly items: Stream.Stream<unknown, unknown>
  readonly asked: Asked
  readonly out: Outgoing
  readonly codecs: UploadCodecs
  /** The server's limits. */
  readonly peer: Limits
  /** The method's index in the Hello. */
  readonly index: number
  /** The call's. */
  readonly id: number
  /** Called where the stream ended in a way that only the caller may hear of. */
  readonly onBroken: (why: Exit.Exit<never, MessageTooLarge>) => void
}

export class ClientUpload {
  private readonly options: Options
  private readonly sender: StreamSender
  private fiber: Fiber.Fiber<void, unknown> | undefined = undefined
  private isStopped = false

  constructor(options: Options) {
    const { codecs: { items: codec }, id, index, out, peer: { maxMessage, window } } = options
    this.options = options
    this.sender = new StreamSender({ out, codec, window, limit: Math.min(maxMessage, window), index, id })
  }

  /** Begins to send: the Request has gone. */
  start(): void {
    if (this.isStopped) return
    const { asked: { context, span }, items } = this.options
    const run = Effect.runForkWith(span === undefined ? context : Context.add(context, Tracer.ParentSpan, span))
    const fiber = run(Stream.runForEachArray(items, this.sender.emit))
    this.fiber = fiber
    // The call may have ended while the stream took its first steps.
    if (this.isStopped) fiber.interruptUnsafe()
    fiber.addObserver((exit) => this.finish(exit))
  }

  /** The server has taken chunks of that cost; false where it cannot have. */
  credit(cost: number): boolean {
    return this.sender.credit(cost)
  }

  /** Goes on, if it waits and may. */
  resume(): void {
    this.sender.resume()
  }

  /** Nobody wants it any more. */
  stop(): void {
    if (this.isStopped) return
    this.isStopped = true
    this.sender.stop()
    this.fiber?.interruptUnsafe()
  }

  /** Stops it, and calls `done` when its finalizers have run. */
  end(done: () => void): void {
    this.stop()
    if (this.fiber === undefined) done()
    else this.fiber.addObserver(done)
  }

  private finish(exit: Exit.Exit<void, unknown>): void {
    if (this.isStopped) return
    const { id, index, out } = this.options
    if (exit._tag === "Success") return out.sendEmpty(FrameType.End, index, id)
    const { reasons } = exit.cause
    const failure = reasons.find(Cause.isFailReason)
    if (failure !== undefined) return this.fail(failure.error)
    const death = reasons.find(Cause.isDieReason)
    if (death?.defect instanceof MessageTooLarge) return this.options.onBroken(Exit.fail(death.defect))
    this.options.onBroken(Exit.failCause(Cause.fromReasons(reasons.flatMap((reason) => (Cause.isFailReason(reason) ? [] : [reason])))))
  }

  /** The stream's typed error, which the handler gets. It goes in one frame: the window says nothing of it. */
  private fail(error: unknown): void {
    const { codecs, id, index, onBroken, out, peer } = this.options
    const limit = Math.min(peer.maxMessage, maxBody)
    const body = codecs.failure.encode(error)
    if (Result.isFailure(body)) {
      return onBroken(Exit.die(new Error(`the stream's failure cannot be encoded: ${body.failure}`, { cause: error })))
    }
    const { length } = body.success
    if (length > limit) return onBroken(Exit.fail(new MessageTooLarge({ what: "item", length, limit })))
    out.send(FrameType.Failure, index, id, body.success)
  }
}
