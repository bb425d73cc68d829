/**
 * Turns of the event loop, and waiting in bounded time.
 */
import { Effect } from "effect"

const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/** Lets everybody else have so many turns. */
export const turns = (count: number): Effect.Effect<void> => count <= 0 ? Effect.void : Effect.andThen(turn, turns(count - 1))

/** Dies, and tells what never came, where the effect takes longer than anything should. */
export const inTime = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutOrElse(effect, { duration: "60 seconds", orElse: () => Effect.die(new Error(`never came: ${what}`)) })

/** Waits, turn by turn and in bounded time, until a condition holds. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> => {
  const wait: Effect.Effect<void> = Effect.suspend(() => condition() ? Effect.void : Effect.andThen(turn, wait))
  return inTime(what, wait)
}
