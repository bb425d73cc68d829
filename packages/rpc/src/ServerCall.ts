/**
 * A call that a server's engine runs: the handler's fiber, with a Scope and a deadline of its own.
 *
 * It belongs to its engine, which `run` tells how the call ended: then the handler is over, its late reply has come, its Scope is closed and
 * its finalizers have run.
 */
import { Context, Deferred, Effect, type Exit, type Fiber, Scope } from "effect"
import { RpcSchema } from "effect/rpc"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { longestTimer } from "./Keepalive.ts"
import { type CallRefusal, DeadlineExceeded } from "./RpcError.ts"
import type { Target } from "./ServerTarget.ts"
import type { ServerUpload } from "./ServerUpload.ts"
import type { StreamSender } from "./StreamSender.ts"

export class ServerCall {
  readonly id: number
  /** The method's index in the client's Hello. */
  readonly index: number
  readonly target: Target
  /** What it takes of the memory that its client may use. */
  readonly charge: number
  readonly stream: StreamSender | undefined
  /** What comes of the stream in its payload, if it has one. */
  readonly upload: ServerUpload | undefined
  /** What the handler runs with. */
  readonly context: Context.Context<never>
  /** Why the engine interrupted the handler, if it was for a reason to tell. */
  interruption: CallRefusal | undefined = undefined
  private readonly scope = Scope.makeUnsafe()
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** What an interruption tells of itself, once there was one. */
  private interrupted: Context.Context<never> | undefined = undefined
  private timer: NodeJS.Timeout | undefined = undefined
  private done: ((exit: Exit.Exit<unknown, unknown>) => void) | undefined = undefined

  constructor(options: {
    readonly id: number
    readonly index: number
    readonly target: Target
    readonly charge: number
    readonly stream: StreamSender | undefined
    readonly upload: ServerUpload | undefined
    /** The milliseconds it may take; Infinity for no limit. */
    readonly timeout: number
  }) {
    this.id = options.id
    this.index = options.index
    this.target = options.target
    this.charge = options.charge
    this.stream = options.stream
    this.upload = options.upload
    const { target: { context }, timeout } = options
    if (timeout <= longestTimer) {
      this.context = Context.add(context, CurrentDeadline, performance.now() + timeout)
      this.timer = setTimeout(() => this.interrupt(new DeadlineExceeded({ allowedMillis: timeout })), timeout)
    } else {
      this.context = context
    }
  }

  /** Starts the handler. `done` is called once, maybe at once. */
  run(
    handler: Effect.Effect<unknown, unknown, Scope.Scope>,
    uninterruptible: boolean,
    done: (exit: Exit.Exit<unknown, unknown>) => void
  ): void {
    this.done = done
    this.fork(handler, uninterruptible, (exit) => this.finish(exit))
  }

  /** Interrupts the handler. Only the first reason counts. */
  interrupt(reason?: CallRefusal, annotations: Context.Context<never> = Context.empty()): void {
    if (this.interrupted !== undefined) return
    this.interrupted = annotations
    this.interruption = reason
    this.fiber?.interruptUnsafe(undefined, annotations)
  }

  /** Nobody is there any more to hear of it: interrupts the handler, and one that cannot be need not wait for the client. */
  abandon(): void {
    this.interrupt(undefined, RpcSchema.ClientAbort.annotation)
    this.stream?.stop()
    this.upload?.close()
  }

  /** Room to send is there again. */
  resume(): void {
    this.stream?.resume()
    this.upload?.resume()
  }

  private fork(
    effect: Effect.Effect<unknown, unknown, Scope.Scope>,
    uninterruptible: boolean,
    done: (exit: Exit.Exit<unknown, unknown>) => void
  ): void {
    const run = Effect.runForkWith(Context.add(this.context, Scope.Scope, this.scope))
    const fiber = run(effect, { uninterruptible })
    this.fiber = fiber
    // The connection may have ended while the handler took its first steps.
    if (this.interrupted !== undefined) fiber.interruptUnsafe(undefined, this.interrupted)
    fiber.addObserver(done)
  }

  private finish(exit: Exit.Exit<unknown, unknown>): void {
    if (exit._tag === "Success" && Deferred.isDeferred(exit.value)) {
      return this.fork(Deferred.await(exit.value), false, (late) => this.finish(late))
    }
    const closing = Scope.closeUnsafe(this.scope, exit)
    if (closing === undefined) return this.end(exit)
    this.fork(closing, true, () => this.end(exit))
  }

  private end(exit: Exit.Exit<unknown, unknown>): void {
    if (this.timer !== undefined) clearTimeout(this.timer)
    this.upload?.close()
    this.done?.(exit)
  }
}
