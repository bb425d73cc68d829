/**
 * A client's connections, one after the other: calls go to the engine of the one that is open, and wait where none is. A call on an open
 * connection costs no more than on its engine.
 *
 * It belongs to the Scope of its client, which tells it of each connection that opens and of each that ends. Once `lose` was called, every
 * waiting call has failed, and later ones fail at once.
 */
import type { DomId } from "@vchan/xen"
import { Context, Effect, Stream, SubscriptionRef } from "effect"
import { ClientCalls } from "./ClientCalls.ts"
import type { ClientEngine } from "./ClientEngine.ts"
import { ConnectionState } from "./ConnectionState.ts"
import type { CallOptions, Calls, Method } from "./Contract.ts"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { endedWithConnection, tries } from "./Idempotent.ts"
import { longestTimer } from "./Keepalive.ts"
import { DeadlineExceeded, VchanRpcError, type VchanRpcReason } from "./RpcError.ts"

/** Takes the end of a wait for a connection. */
type Waiting = (outcome: Effect.Effect<void, VchanRpcReason>) => void

/** What to do on a connection once it is open. */
type Use<A> = (calls: ClientCalls) => Effect.Effect<A, VchanRpcError>

/** By when a call must be over that begins now. */
const deadlineOf = (context: Context.Context<never>, { timeout }: Method): number =>
  Math.min(Context.get(context, CurrentDeadline), performance.now() + timeout)

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
    const use: Use<unknown> = (calls) => calls.unary(method, input, options)
    if (method.isIdempotent) {
      return this.inTime(method, (end) => {
        let left = tries
        const attempt: Effect.Effect<unknown, VchanRpcError> = Effect.catchIf(
          this.whenOpen(method, end, use),
          (error) => --left > 0 && this.mayRepeat(error),
          () => attempt
        )
        return attempt
      })
    }
    return Effect.callback((resume) => {
      if (this.isOpen) return this.calls.start(method, input, options, resume)
      resume(this.inTime(method, (end) => this.whenOpen(method, end, use)))
      return undefined
    })
  }

  readonly stream = (method: Method, input: unknown, options: CallOptions): Stream.Stream<unknown, VchanRpcError> => {
    const use: Use<Stream.Stream<unknown, VchanRpcError>> = (calls) => Effect.succeed(calls.stream(method, input, options))
    return Stream.unwrap(Effect.withFiber(({ context }) => {
      if (this.isOpen && !method.isIdempotent) return use(this.calls)
      const end = deadlineOf(context, method)
      let left = tries
      let begun = !method.isIdempotent
      const attempt: Stream.Stream<unknown, VchanRpcError> = Stream.unwrap(this.whenOpen(method, end, use)).pipe(
        Stream.mapArray((items) => {
          begun = true
          return items
        }),
        Stream.catchIf((error) => !begun && --left > 0 && this.mayRepeat(error), () => attempt)
      )
      return Effect.succeed(end === Infinity ? attempt : Stream.provideService(attempt, CurrentDeadline, end))
    }))
  }

  private get isOpen(): boolean {
    return this.calls.engine.session.ended === undefined
  }

  /** Runs what makes the call with the deadline that it has from now on, however often it is made. */
  private inTime<A>(method: Method, call: (end: number) => Effect.Effect<A, VchanRpcError>): Effect.Effect<A, VchanRpcError> {
    return Effect.withFiber(({ context }) => {
      const end = deadlineOf(context, method)
      return end === Infinity ? call(end) : Effect.provideService(call(end), CurrentDeadline, end)
    })
  }

  private whenOpen<A>(method: Method, end: number, use: Use<A>): Effect.Effect<A, VchanRpcError> {
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
      const timer = left > longestTimer ? undefined : setTimeout(expire, left)
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

  /** Whether the call failed because its connection ended. A service's own errors may be of that class, too: of another service's calls. */
  private mayRepeat(error: VchanRpcError): boolean {
    const isOurs = error instanceof VchanRpcError && error.domid === this.domid && error.service === this.service
    return isOurs && endedWithConnection(error.reason)
  }

  private error({ name }: Method, reason: VchanRpcReason): VchanRpcError {
    return new VchanRpcError({ domid: this.domid, service: this.service, method: name, reason })
  }
}
