/**
 * What the suites take from `@effect/vitest`, on Node's own test runner: the bench's domains have no vitest.
 */
import { Effect, type Scope } from "effect"
import { describe, test } from "node:test"

export { assert } from "vitest"
export { describe }

type Body = () => Effect.Effect<void, unknown, Scope.Scope>

const live = (name: string, body: Body): void => void test(name, { timeout: 60_000 }, () => Effect.runPromise(Effect.scoped(body())))

const skip = (name: string, body: Body): void => void test.skip(name, () => live(name, body))

export const it = { live: Object.assign(live, { skipIf: (condition: boolean) => condition ? skip : live }) }
