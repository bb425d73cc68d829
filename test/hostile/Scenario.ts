/**
 * A scenario of the hostile peer: plans that are made at random, and what has to hold whatever the plan was.
 *
 * A plan is plain data, so that one that finds something is printed, shrunk and run again, by fast-check. Each runs in a world of its own and in
 * a bounded time. Whatever a plan does: nothing is thrown past a callback, no promise is left rejected, and the language's own prototypes stay
 * as they were. What else has to hold is the scenario's to say, by dying.
 */
import { Cause, Effect, Exit, Fiber, Logger, type Scope } from "effect"
import * as fc from "fast-check"
import { Ledger } from "./Ledger.ts"
import { turns } from "./turns.ts"

/** For how long, and from which seed on. */
interface Extent {
  readonly seed: number
  readonly millis: number
  /** fast-check's path to one plan of that seed. */
  readonly path?: string | undefined
}

/** What came of it. */
export interface Outcome {
  readonly cases: number
  readonly actions: number
  /** How often the honest side met what: shows that plans get somewhere. */
  readonly met: ReadonlyMap<string, number>
  /** The most memory that the honest side held at the end of an attack, in bytes. */
  readonly most: number
  /** Where one plan found something: which, and what. */
  readonly find: { readonly seed: number; readonly path: string; readonly plan: string; readonly error: string } | undefined
}

/** A scenario, ready to run. */
export interface Scenario {
  readonly name: string
  readonly run: (extent: Extent) => Effect.Effect<Outcome>
}

/** Of how many cases one is weighed, and which: the first ones hold code that was compiled for them, too. */
const weighedEvery = 25
const weighedAt = 4

/** Everything takes milliseconds, on a machine with nothing else to do. */
const patience = "60 seconds"

/** How many plans come of one seed: the next ones come of the next. */
const batchLength = 5

/** How long a plan that found something is made shorter. */
const shrinkMillis = 20_000

const prototypes = [Object, Array, Function, String, Number, Boolean, Map, Set, Promise, Uint8Array, ArrayBuffer, Error]

const shape = (): string =>
  JSON.stringify(prototypes.map(({ prototype }) => [
    Object.getPrototypeOf(prototype) === null,
    ...Reflect.ownKeys(prototype).map(String).sort()
  ]))

/** What is thrown where nobody catches it, while the effect runs and a few turns after it. */
const withoutFaults = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const faults: Array<unknown> = []
      const catches = (fault: unknown) => void faults.push(fault)
      process.on("uncaughtException", catches).on("unhandledRejection", catches)
      return { faults, catches }
    }),
    ({ faults }) =>
      effect.pipe(
        Effect.tap(turns(3)),
        Effect.tap(Effect.suspend(() => faults.length === 0 ? Effect.void : Effect.die(faults[0])))
      ),
    ({ catches }) => Effect.sync(() => process.off("uncaughtException", catches).off("unhandledRejection", catches))
  )

const unpolluted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const before = shape()
    return Effect.tap(
      effect,
      Effect.suspend(() => shape() === before ? Effect.void : Effect.die(new Error("a prototype of the language was changed")))
    )
  })

/** Makes a scenario. */
export const scenario = <Plan>(options: {
  readonly name: string
  readonly plan: fc.Arbitrary<Plan>
  /** How many actions a plan has, for the figures. */
  readonly actions: (plan: Plan) => number
  readonly run: (plan: Plan, ledger: Ledger) => Effect.Effect<void, unknown, Scope.Scope>
}): Scenario => {
  const { name, plan, run } = options
  const once = (plan: Plan, ledger: Ledger) =>
    run(plan, ledger).pipe(
      Effect.scoped,
      // Forked, for what cannot be ended is left behind.
      Effect.forkDetach,
      Effect.flatMap(Fiber.join),
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.die(new Error(`the case was not over after ${patience}`)) }),
      withoutFaults,
      unpolluted,
      Effect.provide(Logger.layer([]))
    )
  return {
    name,
    run: ({ millis, path, seed }) =>
      Effect.promise(async () => {
        const end = performance.now() + millis
        const met = new Map<string, number>()
        const note = (what: string) => void met.set(what, (met.get(what) ?? 0) + 1)
        let most = 0
        let tried = 0
        let cases = 0
        let actions = 0
        let shrinkEnd = Infinity
        const property = fc.asyncProperty(plan, async (plan) => {
          if (performance.now() > shrinkEnd) return
          const ledger = new Ledger(path !== undefined || shrinkEnd < Infinity || tried++ % weighedEvery === weighedAt, note)
          const exit = await Effect.runPromiseExit(once(plan, ledger))
          most = Math.max(most, ledger.weighed ?? 0)
          if (Exit.isFailure(exit)) {
            shrinkEnd = Math.min(shrinkEnd, performance.now() + shrinkMillis)
            throw new Error(Cause.pretty(exit.cause))
          }
          cases++
          actions += options.actions(plan)
        })
        for (let batch = seed;; batch++) {
          const details = await fc.check(property, { seed: batch, numRuns: batchLength, ...(path === undefined ? {} : { path }) })
          const { counterexample, counterexamplePath, errorInstance } = details
          const find = counterexample === null ? undefined : {
            seed: batch,
            path: counterexamplePath ?? "",
            plan: fc.stringify(counterexample[0]).replaceAll("__proto__:null,", ""),
            error: errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
          }
          if (find !== undefined || path !== undefined || performance.now() > end) return { cases, actions, met, most, find }
        }
      })
  }
}
