/**
 * A client's connections, one after the other: calls go to the engine of the one that is open, and wait where none is. A call on an open
 * connection costs no more than on its engine.
 *
 * It belongs to the Scope of its client, which tells it of each connection that opens and of each that ends. Once `lose` was called, every
 * waiting call has failed, and later ones fail at once.
 */
import type { DomId } from "@vchan/xen"
import { type Array as Arr, Context, Effect, Exit, Option, Pull, Stream, SubscriptionRef } from "effect"
import { ClientCalls } from "./ClientCalls.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import { ConnectionState } from "./ConnectionState.ts"
import type { CallOptions, Calls, Method } from "./Contract.ts"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { mayRepeat, tries } from "./Idempotent.ts"
import { longestTimer } from "./Keepalive.ts"
import { DeadlineExceeded, VchanRpcError, type VchanRpcReason } from "./RpcError.ts"

/** Takes the end of a wait for a connection. */
type Waiting = (outcome: Effect.Effect<void, VchanRpcReason>) => void

/** What to do on a connection once it is open. */
type Use<A, R> = (calls: ClientCalls) => Effect.Effect<A, VchanRpcError, R>

type Items = Arr.NonEmptyReadonlyArray<unknown>

type Pulling = Pull.Pull<Items, VchanRpcError>

/** How long a connection is left alone that ended a call as one does that goes away. */
const parting = "100 millis"

/** How much earlier than the deadline a timer may be, in milliseconds. */
const early = 1

/** What pulls a stream that has given its first items, and is over where there are none. */
const begun = <R>(open: Effect.Effect<Pulling, VchanRpcError, R>): Effect.Effect<Pulling, VchanRpcError, R> =>
  Effect.flatMap(open, (rest) =>
    Pull.matchEffect(rest, {
      onSuccess: (first) => Effect.succeed(after(first, rest)),
      onDone: () => Effect.succeed(rest),
      onFailure: Effect.failCause
    }))

/** The first items, then the rest. */
const after = (first: Items, rest: Pulling): Pulling => {
  let isFirst = true
  return Effect.suspend(() => {
    if (!isFirst) return rest
    isFirst = false
    return Effect.succeed(first)
  })
}

export class ClientConnections implements Calls<VchanRpcError> {
  readonly state: SubscriptionRef.SubscriptionRef<ConnectionState>
  private readonly domid: DomId
  private readonly service: string
  private readonly waiting = new Set<Waiting>()
  private calls: ClientCalls
  private lost: VchanRpcError | undefined = undefined

  /** Begins with a connection that is open. `state` says so. */
  constructor(options: {
    readonly domid: DomId
    readonly service: string
    readonly engine: ClientEngine
    readonly state: SubscriptionRef.SubscriptionRef<ConnectionState>
  }) {
    this.domid = options.domid
    this.service = options.service
    this.calls = new ClientCalls(options.engine)
    this.state = options.state
  }

  /** A new connection is open: what waited goes on. */
  open(engine: ClientEngine): Effect.Effect<void> {
    return Effect.andThen(
      SubscriptionRef.set(this.state, ConnectionState.Open()),
      Effect.sync(() => {
        this.calls = new ClientCalls(engine)
        this.wake(Effect.void)
      })
    )
  }

  /** There will be no other connection. */
  lose(error: VchanRpcError): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.lost !== undefined) return Effect.void
      this.lost = error
      const wake = Effect.sync(() => this.wake(Effect.fail(error.reason)))
      return Effect.andThen(SubscriptionRef.set(this.state, ConnectionState.Lost({ error })), wake)
    })
  }

  readonly unary = (method: Method, input: unknown, options: CallOptions): Effect.Effect<unknown, VchanRpcError> => {
    if (method.isIdempotent) return this.again(method, input, options, undefined)
    // Few functions and objects are made for a call: with many in flight, each outlives a collection, which moves it.
    return Effect.callback((resume) => {
      if (this.isOpen) {
        // Most calls have no time of their own, and need no clock.
        const since = method.timeout === Infinity ? undefined : performance.now()
        return this.calls.start(method, input, options, (end) => resume(this.unlessRefused(end, method, input, options, since)))
      }
      resume(this.again(method, input, options, undefined))
      return undefined
    })
  }

  /** `since` is when the method's own time began; now where it has not. */
  private again(
    method: Method,
    input: unknown,
    options: CallOptions,
    since: number | undefined
  ): Effect.Effect<unknown, VchanRpcError> {
    return this.repeating(method, (calls) => calls.unary(method, input, options), since)
  }

  readonly stream = (method: Method, input: unknown, options: CallOptions): Stream.Stream<unknown, VchanRpcError> =>
    Stream.unwrap(Effect.map(
      this.repeating(method, (calls) => begun(calls.open(method, input, options))),
      (pull) => Stream.fromPull(Effect.succeed(pull))
    ))

  private get isOpen(): boolean {
    return this.calls.engine.isOpen
  }

  /** A call's end, or the call again where its server takes none any more, so that its handler has not run. */
  private unlessRefused(
    end: Effect.Effect<unknown, VchanRpcError>,
    method: Method,
    input: unknown,
    options: CallOptions,
    since: number | undefined
  ): Effect.Effect<unknown, VchanRpcError> {
    return Exit.isExit(end) && Exit.isSuccess(end) ? end : this.refused(end, method, () => this.again(method, input, options, since))
  }

  private refused(
    end: Effect.Effect<unknown, VchanRpcError>,
    method: Method,
    again: () => Effect.Effect<unknown, VchanRpcError>
  ): Effect.Effect<unknown, VchanRpcError> {
    const isRefusal = (error: unknown) => this.isOurs(error) && error.reason._tag === "Draining" && mayRepeat(method, error.reason)
    // Traced calls end with an effect that is still to run.
    if (!Exit.isExit(end)) return Effect.catchIf(end, isRefusal, again)
    return Option.exists(Exit.findErrorOption(end), isRefusal) ? again() : end
  }

  /** Makes the call as often as it may be made, all within one deadline: the method's own time is from `since` on, or from now. */
  private repeating<A, R>(method: Method, use: Use<A, R>, since?: number): Effect.Effect<A, VchanRpcError, R> {
    return Effect.withFiber(({ context }) => {
      const start = since ?? performance.now()
      const end = Math.min(Context.get(context, CurrentDeadline), start + method.timeout)
      let left = tries
      const attempt: Effect.Effect<A, VchanRpcError, R> = Effect.catchIf(
        this.whenOpen(method, end, use),
        (error) => --left > 0 && this.isOurs(error) && mayRepeat(method, error.reason),
        // What goes away has not always said so.
        () => this.isOpen ? Effect.delay(attempt, parting) : attempt
      )
      if (end === Infinity) return attempt
      return Effect.mapError(
        Effect.provideService(attempt, CurrentDeadline, end),
        // An attempt knows what was left for it alone. A server may have allowed less.
        (error) =>
          this.isOurs(error) && error.reason._tag === "DeadlineExceeded" && performance.now() >= end - early
            ? this.error(method, new DeadlineExceeded({ allowedMillis: Math.max(0, end - start) }))
            : error
      )
    })
  }

  private whenOpen<A, R>(method: Method, end: number, use: Use<A, R>): Effect.Effect<A, VchanRpcError, R> {
    return Effect.suspend(() =>
      this.isOpen
        ? use(this.calls)
        : Effect.andThen(
          Effect.mapError(this.wait(end), (reason) => this.error(method, reason)),
          // It may be lost again by now.
          this.whenOpen(method, end, use)
        )
    )
  }

  /** Waits until a connection is open, the deadline has come, or there will be none. */
  private wait(end: number): Effect.Effect<void, VchanRpcReason> {
    return Effect.callback((resume) => {
      if (this.lost !== undefined) return resume(Effect.fail(this.lost.reason))
      const left = end - performance.now()
      const expire = () => settle(Effect.fail(new DeadlineExceeded({ allowedMillis: Math.max(0, left) })))
      const timer = left > longestTimer ? undefined : setTimeout(expire, Math.max(0, left))
      const settle: Waiting = (outcome) => {
        clearTimeout(timer)
        this.waiting.delete(settle)
        resume(outcome)
      }
      this.waiting.add(settle)
      return Effect.sync(() => {
        clearTimeout(timer)
        this.waiting.delete(settle)
      })
    })
  }

  private wake(outcome: Effect.Effect<void, VchanRpcReason>): void {
    for (const settle of [...this.waiting]) settle(outcome)
  }

  /** Whether the error is of a call of this client. A service's own errors may be of that class, too: of calls of another service. */
  private isOurs(error: unknown): error is VchanRpcError {
    return error instanceof VchanRpcError && error.domid === this.domid && error.service === this.service
  }

  private error({ name }: Method, reason: VchanRpcReason): VchanRpcError {
    return new VchanRpcError({ domid: this.domid, service: this.service, method: name, reason })
  }
}
