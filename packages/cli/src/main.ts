/**
 * The `vchan` command: parses the arguments, runs the subcommand, and turns each failure into one line for people and exit code 1.
 *
 * Whatever a subcommand acquires hangs on its Scope, which SIGINT and SIGTERM close before the process exits. Being stopped is the ordinary end
 * of `host` and `echo`, and an interruption (exit code 130) of all else.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Runtime } from "effect"
import { CliConfig, CliError, Command, GlobalFlag } from "effect/cli"
import { call } from "./call.ts"
import { echo } from "./echo.ts"
import { exec } from "./exec.ts"
import { host } from "./host.ts"
import { node } from "./node.ts"
import { services } from "./services.ts"
import { teardown } from "./untilStopped.ts"

/** A failure that has been told on standard error. */
class Told extends Data.TaggedError("Told") {
  override readonly [Runtime.errorReported] = false
}

const vchan = Command.make("vchan").pipe(
  Command.withDescription("vchan between Xen domains, or between processes that play domains on an emulated host"),
  Command.withSubcommands([Command.withSubcommands(host, [exec]), services, call, echo, node])
)

/** Runs the command with this process's arguments, and exits with its code. */
export const main = (options: { readonly version: string }): void =>
  Command.run(vchan, options).pipe(
    Effect.catch((error): Effect.Effect<never, CliError.CliError | Told> =>
      CliError.isCliError(error) ? Effect.fail(error) : Effect.andThen(Console.error(`vchan: ${error.message}`), Effect.fail(new Told()))
    ),
    Effect.provide([NodeServices.layer, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })]),
    NodeRuntime.runMain({ teardown })
  )
