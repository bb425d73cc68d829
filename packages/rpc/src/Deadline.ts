/**
 * Deadlines: by when a call must be over. The time that is left travels with each request, as a duration, so that no clocks need to agree;
 * it ends the handler in the other domain, and is the deadline of the calls which that handler makes in turn. Owns nothing.
 */
import { Context, Duration, Effect, Function, Option } from "effect"

/**
 * By when the calls of this fiber must be over, in milliseconds of this process's `performance.now()`; Infinity where there is no deadline.
 * Set it with `within`. One that is more than 24 days away, beyond what timers can wait, is none.
 */
export const Current: Context.Reference<number> = Context.Reference<number>("@vchan/rpc/Deadline", { defaultValue: () => Infinity })

/**
 * Annotates an Rpc with how long its calls may take, where the caller has no earlier deadline.
 *
 * @example
 * ```ts
 * import { Deadline } from "@vchan/rpc"
 * import { Schema } from "effect"
 * import { Rpc } from "effect/rpc"
 *
 * const Say = Rpc.make("Say", { payload: { text: Schema.String } }).annotate(Deadline.Timeout, "2 seconds")
 * ```
 */
export const Timeout: Context.Reference<Duration.Input> = Context.Reference<Duration.Input>("@vchan/rpc/Deadline/Timeout", {
  defaultValue: () => Duration.infinity
})

/**
 * Gives every call that the effect makes, streams included, this time from now on, or what is left of an earlier deadline. A call that is
 * not over by then fails with `DeadlineExceeded`, and its handler is interrupted. What the effect does beside calls goes on.
 *
 * @example
 * ```ts
 * import { Deadline } from "@vchan/rpc"
 * import { Effect } from "effect"
 *
 * declare const fetch: Effect.Effect<string>
 *
 * const program = fetch.pipe(Deadline.within("500 millis"))
 * ```
 */
export const within: {
  (duration: Duration.Input): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R>
} = Function.dual(2, <A, E, R>(effect: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const end = performance.now() + Duration.toMillis(duration)
    return Effect.updateService(effect, Current, (current) => Math.min(current, end))
  }))

/** The time that is left: in a handler, of its caller's deadline. None where there is no deadline. */
export const remaining: Effect.Effect<Option.Option<Duration.Duration>> = Effect.map(
  Current,
  (end) => end === Infinity ? Option.none() : Option.some(Duration.millis(Math.max(0, end - performance.now())))
)
