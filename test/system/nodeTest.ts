/**
 * What the suites take from `@effect/vitest`, on Node's own test runner: the bench's domains have no vitest.
 */
import { Effect, type Scope } from "effect"
import { describe, test } from "node:test"

export { assert } from "vitest"
export { describe }

type Body = () => Effect.Effect<void, unknown, Scope.Scope>

const live = (name: string, body: Body): void => void test(name, { timeout: 60_000 }, () => Effect.runPromise(Effect.scoped(body())))

/** What is skipped prints its reason. */
const skipIf = (reason: string | false) => (name: string, body: Body): void =>
  reason === false ? live(name, body) : void test(name, { skip: reason })

export const it = { live: Object.assign(live, { skipIf }) }
