/**
 * Calls as their callers see them: Effects and Streams over an engine. Each call belongs to the fiber that makes it, a stream to the Scope of
 * whoever pulls it; both drop it when they end before it does.
 */
import { Context, Effect, type Exit, Fiber, type Scope, Stream, type Tracer } from "effect"
import { type ClientCall, newCall } from "./ClientCall.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import type { Asked } from "./ClientEnvelope.ts"
import type { CallOptions, Calls, Method } from "./Contract.ts"
import { FrameType } from "./Frame.ts"
import type { VchanRpcError } from "./RpcError.ts"
import { StreamReceiver } from "./StreamReceiver.ts"
import { clientSpan, isTraced } from "./Tracing.ts"

/** Takes a unary call's one end. */
export type Resume = (effect: Effect.Effect<unknown, VchanRpcError>) => void

/** Stops the stream in the call's payload, and calls `done` when its finalizers have run. */
const release = ({ upload }: ClientCall, done: () => void): void => upload === undefined ? done() : upload.end(done)

/** What the caller's own stream holds is released before the caller goes on. */
const releaseFirst = (entry: ClientCall): void => {
  const { settle } = entry
  entry.settle = (exit) => release(entry, () => settle(exit))
}

export class ClientCalls implements Calls<VchanRpcError> {
  readonly engine: ClientEngine

  constructor(engine: ClientEngine) {
    this.engine = engine
  }

  readonly unary = (method: Method, input: unknown, options: CallOptions): Effect.Effect<unknown, VchanRpcError> =>
    // No effect more than the callback, for each would cost every call.
    Effect.callback((resume) => this.start(method, input, options, resume))

  /** Starts a unary call of the current fiber. Gives what an interruption of it has to do; undefined where `resume` has been called. */
  start(method: Method, input: unknown, options: CallOptions, resume: Resume): Effect.Effect<void> | undefined {
    const context = Fiber.getCurrent()?.context ?? Context.empty()
    if (!isTraced(context)) return this.call(method, input, { context, options, span: undefined }, resume)
    const traced = (span: Tracer.Span) => Effect.callback((resume: Resume) => this.call(method, input, { context, options, span }, resume))
    resume(Effect.useSpan(...clientSpan(this.engine.session, method.name), traced))
    return undefined
  }

  readonly stream = (method: Method, input: unknown, options: CallOptions): Stream.Stream<unknown, VchanRpcError> =>
    Stream.unwrap(Effect.map(this.open(method, input, options), (pull) => Stream.fromPull(Effect.succeed(pull))))

  /** Opens a stream, which belongs to the Scope around it, and gives what pulls its items. */
  open(method: Method, input: unknown, options: CallOptions): Effect.Effect<StreamReceiver["pull"], VchanRpcError, Scope.Scope> {
    return Effect.withFiber(({ context }) =>
      isTraced(context)
        ? Effect.flatMap(Effect.makeSpanScoped(...clientSpan(this.engine.session, method.name)), (span) =>
          this.openStream(method, input, { context, options, span }))
        : this.openStream(method, input, { context, options, span: undefined })
    )
  }

  /** Gives what an interruption of the call has to do. */
  private call(method: Method, input: unknown, asked: Asked, resume: Resume): Effect.Effect<void> | undefined {
    // The failure codec has read the error: it is the method's own, which the client object's type tells.
    const settled = resume as ClientCall["settle"]
    const end = asked.options.discard === true ? FrameType.End : FrameType.Success
    const entry = newCall(method, end, settled, undefined)
    if (method.upload !== undefined) releaseFirst(entry)
    const refusal = this.engine.begin(entry, input, asked)
    if (refusal === undefined) return this.dropping(entry)
    resume(refusal)
    return undefined
  }

  private openStream(method: Method, input: unknown, asked: Asked) {
    const { engine } = this
    const open = Effect.suspend(() => {
      const stream = new StreamReceiver(engine.options.limits.window, (count) => engine.credit(entry, count))
      const settle = (exit: Exit.Exit<unknown, unknown>) => {
        entry.upload?.stop()
        stream.settle(exit)
      }
      const entry: ClientCall = newCall(method, FrameType.End, settle, stream)
      return engine.begin(entry, input, asked) ?? Effect.succeed({ entry, pull: stream.pull })
    })
    return Effect.map(
      Effect.acquireRelease(open, ({ entry }) => this.dropping(entry)),
      ({ pull }) => pull
    )
  }

  /** Ends the call on the caller's side; done when nothing of it is left here. */
  private dropping(entry: ClientCall): Effect.Effect<void> {
    return entry.upload === undefined
      ? Effect.sync(() => this.engine.drop(entry))
      : Effect.callback((resume) => {
        this.engine.drop(entry)
        release(entry, () => resume(Effect.void))
      })
  }
}
