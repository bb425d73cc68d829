/**
 * `vchan host`: an emulated host in the foreground. It owns its run directory until it is stopped.
 */
import { HostServer } from "@vchan/xen-linux"
import { Console, Effect, Option } from "effect"
import { Command } from "effect/cli"
import { directory } from "./flags.ts"
import { untilStopped } from "./untilStopped.ts"

export const host = Command.make("host").pipe(
  Command.withSharedFlags({ directory }),
  Command.withHandler((flags) =>
    Effect.gen(function*() {
      const host = yield* HostServer.make({ directory: Option.getOrUndefined(flags.directory) })
      yield* Console.log(`emulated host runs: join it with VCHAN_HOST=${host.directory}, stop it with Ctrl-C`)
      return yield* Effect.never
    }).pipe(Effect.scoped, untilStopped)
  ),
  Command.withDescription(
    "Run an emulated host: processes of this user join it as Xen domains, with no Xen and no root. It is for development and tests, and no security boundary."
  ),
  Command.withShortDescription("Run an emulated host, or a C program in a domain of one"),
  Command.withExamples([{ command: "vchan host --directory /dev/shm/my-host", description: "Run a host until Ctrl-C" }])
)
