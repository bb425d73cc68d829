/**
 * `npm run fuzz -- --minutes N`: the scenarios of the hostile peer in turn, each with a new seed, until the time is over or something is found.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { randomInt } from "node:crypto"
import { finding, line } from "./report.ts"
import { scenarios } from "./scenarios.ts"

/** How long one scenario has its turn. */
const turn = 10_000

const fuzz = Command.make("fuzz", {
  minutes: Flag.Finite("minutes").pipe(Flag.withDescription("For how long"), Flag.withDefault(1)),
  seed: Flag.Int("seed").pipe(Flag.withDescription("The first round's seed; else a fresh one"), Flag.optional),
  path: Flag.String("path").pipe(Flag.withDescription("Run this one plan of the seed, as a find told it"), Flag.optional),
  scenario: Flag.String("scenario").pipe(Flag.withDescription("Only scenarios whose names begin so"), Flag.withDefault(""))
}).pipe(
  Command.withHandler(({ minutes, path, scenario: begin, seed: given }) =>
    Effect.gen(function*() {
      const chosen = scenarios.filter(({ name }) => name.startsWith(begin))
      const end = performance.now() + minutes * 60_000
      let seed = Option.getOrElse(given, () => randomInt(2 ** 30))
      let cases = 0
      let actions = 0
      while (performance.now() < end && process.exitCode === undefined) {
        for (const scenario of chosen) {
          const millis = Math.min(turn, end - performance.now())
          if (millis <= 0) break
          const outcome = yield* scenario.run({ seed, millis, path: Option.getOrUndefined(path) })
          cases += outcome.cases
          actions += outcome.actions
          yield* Console.log(line(scenario, seed, outcome))
          const found = finding(scenario, outcome)
          if (found === undefined) continue
          yield* Console.error(found)
          process.exitCode = 1
          break
        }
        if (Option.isSome(path)) break
        seed = (seed + 1_000_000) % 2 ** 30
      }
      yield* Console.log(`${cases} cases, ${actions} actions`)
    })
  ),
  Command.withDescription("Do to honest programs whatever a hostile peer can do, with plans made at random")
)

Command.run(fuzz, { version: "0.0.0" }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
