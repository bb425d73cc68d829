/**
 * Commands that run until somebody stops them: for those, SIGINT and SIGTERM are the ordinary end.
 */
import { Effect, Runtime } from "effect"

/** Marks a command as one that is to be stopped: stopping it is no failure. */
export const untilStopped = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onInterrupt(command, () =>
    Effect.sync(() => {
      process.exitCode = 0
    }))

/** Ends the process: with 0 where a command that is to be stopped was. Nothing else would end it while standard input is open. */
export const teardown: Runtime.Teardown = (exit) =>
  Runtime.defaultTeardown(exit, (code) => process.exit(code === 130 && process.exitCode === 0 ? 0 : code))
