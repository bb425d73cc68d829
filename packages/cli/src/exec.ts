/**
 * `vchan host exec`: runs a C program over libxenvchan, unmodified, as a process of a domain of an emulated host.
 *
 * This process holds the domain for as long as the program runs, passes signals on to it, and ends as it did. A program whose domain is
 * destroyed is killed, as it would vanish on Xen.
 */
import { ownDomid, XenStore } from "@vchan/xen"
import { EmulatedXen, HostControl } from "@vchan/xen-linux"
import { Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { Argument, Command } from "effect/cli"
import { spawn } from "node:child_process"
import { domid } from "./flags.ts"
import { host } from "./host.ts"
import { endAs, type Ending } from "./untilStopped.ts"
import { xenshim } from "./xenshim.ts"

/** The program could not be started. */
export class NotStarted extends Schema.TaggedError<NotStarted>()("NotStarted", {
  program: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot run ${this.program}: ${this.detail}`
  }
}

/** Those that somebody sends to a process to tell it something. */
const passedOn = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const

/** Runs a program to its end; `killed` ends it at once. For a region that is not interrupted: the signals go to the program. */
const runProgram = (
  command: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  killed: Effect.Effect<void>
): Effect.Effect<Ending, NotStarted> =>
  Effect.suspend(() => {
    const [program = "", ...args] = command
    const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, ...env } })
    const pass = (signal: NodeJS.Signals) => {
      // A terminal tells the program as well.
      if (process.stdin.isTTY && (signal === "SIGINT" || signal === "SIGQUIT")) return
      child.kill(signal)
    }
    for (const signal of passedOn) process.on(signal, pass)
    const ending = Effect.callback<Ending, NotStarted>((resume) => {
      child.once("error", ({ message }) => resume(new NotStarted({ program, detail: message })))
      child.once("exit", (code, signal) => resume(Effect.succeed(signal ?? code ?? 1)))
    })
    const kill = Effect.andThen(killed, Effect.sync(() => child.kill("SIGKILL")))
    return Effect.raceFirst(ending, Effect.interruptible(Effect.andThen(kill, Effect.never))).pipe(
      Effect.ensuring(Effect.sync(() => passedOn.forEach((signal) => process.off(signal, pass))))
    )
  })

export const exec = Command.make("exec", {
  domid,
  command: Argument.String("command").pipe(
    Argument.withDescription("The program, after --, with its arguments"),
    Argument.variadic({ min: 1 })
  )
}, ({ command, domid }) =>
  Effect.gen(function*() {
    const library = yield* xenshim
    const directory = HostControl.runDirectory(Option.getOrUndefined((yield* host).directory))
    const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid: Option.getOrUndefined(domid) }))
    const own = yield* Effect.provide(ownDomid, xen)
    const { LD_PRELOAD } = process.env
    const env = {
      VCHAN_HOST: directory,
      VCHAN_DOMID: String(own),
      XENSTORED_PATH: `${directory}/xs.${own}`,
      LD_PRELOAD: LD_PRELOAD ? `${library}:${LD_PRELOAD}` : library
    }
    // The store is lost with the domain and with the host; only a program whose domain is gone has to go too.
    const destroyed = Stream.runDrain(Context.get(xen, XenStore).watch("domid")).pipe(
      Effect.catch(() => HostControl.status({ directory })),
      Effect.matchEffect({ onFailure: () => Effect.never, onSuccess: () => Effect.void })
    )
    yield* Effect.uninterruptible(Effect.flatMap(runProgram(command, env, destroyed), endAs))
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Run a C program over libxenvchan, unmodified, as a process of a domain of the emulated host: libxengnttab and libxenevtchn are replaced by "
        + "a library that speaks to the host, and libxenstore finds the domain's socket. The library is built at the first run, with CC or cc. The "
        + "domain ends with the program; exit code and signals are passed on."
    ),
    Command.withShortDescription("Run a C program over libxenvchan in a domain of the host"),
    Command.withExamples([{
      command: "vchan host exec --domid 7 -- ./my-c-program /local/domain/5/data/vchan",
      description: "Be domain 7"
    }])
  )
