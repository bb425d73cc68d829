/**
 * Work with the store in a finalizer: a store that is stuck does not hold up the end of what it is done for.
 */
import { Effect, Option } from "effect"

/** Many times what it takes. What is left undone goes with the domain. */
const patience = "5 seconds"

/** Does the work, though the fiber be interrupted; none where it fails or takes too long. */
export const inTime = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, never, R> =>
  Effect.interruptible(work).pipe(Effect.timeoutOption(patience), Effect.orElseSucceed(Option.none))
