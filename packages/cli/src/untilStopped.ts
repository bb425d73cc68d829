/**
 * How this process ends where it is not by a command's success or failure alone.
 *
 * For commands that run until somebody stops them, SIGINT and SIGTERM are the ordinary end. A command that ran another program ends as that
 * one did.
 */
import { Effect, Runtime } from "effect"

/** How a program ended: its exit code, or the signal that killed it. */
export type Ending = number | NodeJS.Signals

/** Marks a command as one that is to be stopped: stopping it is no failure. */
export const untilStopped = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onInterrupt(command, () => endAs(0))

/** Lets this process, once its command is over, end in that way. */
export const endAs = (ending: Ending): Effect.Effect<void> =>
  Effect.sync(() => {
    if (typeof ending === "number") process.exitCode = ending
    // By then nobody listens to the signal any more, so it kills.
    else process.once("exit", () => process.kill(process.pid, ending))
  })

/** Ends the process: as a command said, where nothing failed. Nothing else would end it while standard input is open. */
export const teardown: Runtime.Teardown = (exit) =>
  Runtime.defaultTeardown(exit, (code) => process.exit(code === 0 || code === 130 ? process.exitCode ?? code : code))
