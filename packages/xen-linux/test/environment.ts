/**
 * Environment variables for the time of a test.
 */
import { Effect, type Scope } from "effect"

/** Sets, or with undefined unsets, variables until the Scope closes. */
export const withEnvironment = (variables: Readonly<Record<string, string | undefined>>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
      assign(variables)
      return before
    }),
    (before) => Effect.sync(() => assign(before))
  ))

const assign = (variables: Readonly<Record<string, string | undefined>>): void => {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}
