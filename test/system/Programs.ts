/**
 * Programs that run in this domain: processes, and peers within this process. Each is ended, and forgotten, with the Scope it was started in.
 */
import type { VchanRpcError } from "@vchan/rpc"
import type { VchanError } from "@vchan/vchan"
import { EventChannel, GrantTable, type Xen, XenStore } from "@vchan/xen"
import { LinuxXen } from "@vchan/xen-linux"
import { Context, Data, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import { calls } from "./peer/calls.ts"
import { peer } from "./peer/peer.ts"

/** A program did not do as it should. */
export class BenchError extends Data.TaggedError("BenchError")<{ readonly message: string }> {}

/** A running program. */
export interface Program {
  /** Waits for a line that begins so, and gives the rest of it. */
  readonly said: (start: string) => Effect.Effect<string, BenchError>
  /** Waits until it has ended, and gives its exit code; 128 and the signal's number where a signal ended it. */
  readonly exit: Effect.Effect<number, BenchError>
  readonly kill: Effect.Effect<void, BenchError>
}

/** This domain's Xen alone: a program's Scope is that of whoever starts it. */
export const thisXen = Effect.map(Effect.context<Xen>(), Context.pick(GrantTable, EventChannel, XenStore))

/** What a program has said and how it ended. */
class Transcript {
  private readonly lines: Array<string> = []
  private code: number | undefined
  private readonly waiting = new Set<() => void>()

  readonly say = (line: string): void => {
    this.lines.push(line)
    for (const look of this.waiting) look()
  }

  readonly end = (code: number): void => {
    this.code = code
    for (const look of this.waiting) look()
  }

  readonly said = (start: string): Effect.Effect<string, BenchError> =>
    this.wait(() => {
      const line = this.lines.find((line) => line.startsWith(start))
      if (line !== undefined) return Effect.succeed(line.slice(start.length).trim())
      if (this.code === undefined) return undefined
      // Where an error was made says less than what it was.
      const heard = this.lines.filter((line) => !line.trimStart().startsWith("at ")).slice(-8).join("\n").slice(-1000)
      return Effect.fail(new BenchError({ message: `it ended with ${this.code} and without "${start}", after: ${heard}` }))
    })

  readonly exit: Effect.Effect<number> = Effect.suspend(() =>
    this.wait(() => this.code === undefined ? undefined : Effect.succeed(this.code))
  )

  private wait<A, E>(look: () => Effect.Effect<A, E> | undefined): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      const again = () => {
        const result = look()
        if (result === undefined) return
        this.waiting.delete(again)
        resume(result)
      }
      this.waiting.add(again)
      again()
      return Effect.sync(() => void this.waiting.delete(again))
    })
  }
}

/**
 * Starts a program: `["peer-ts", ...]` is a peer within this process, `["peer-ts", "spin", "0", ...]` one with devices of its own, which looks
 * about for at most 0 microseconds before it sleeps, `["calls", ...]` one that serves or makes calls, and everything else a command.
 */
export const start = (argv: ReadonlyArray<string>): Effect.Effect<Program, never, Xen | Scope.Scope> => {
  const [command, word, micros] = argv
  if (command === "calls") return startHere((say) => calls(argv.slice(1), say))
  if (command !== "peer-ts") return startProcess(argv)
  if (word !== "spin") return startHere((say) => peer(argv.slice(1), say))
  const layer = Layer.orDie(LinuxXen.layer({ spinMicros: Number(micros) }))
  return Effect.flatMap(Layer.build(layer), (xen) => Effect.provideContext(startHere((say) => peer(argv.slice(3), say)), xen))
}

/** What tells a word. */
type Say = (line: string) => Effect.Effect<void>

const startHere = Effect.fnUntraced(function*(program: (say: Say) => Effect.Effect<void, VchanError | VchanRpcError, Xen>) {
  const transcript = new Transcript()
  const fiber = yield* program((line) => Effect.sync(() => transcript.say(line))).pipe(
    Effect.catch(({ message, reason }) =>
      Effect.andThen(Effect.sync(() => transcript.say(`failed: ${reason._tag}: ${message}`)), Effect.interrupt)
    ),
    Effect.tapDefect((defect) => Effect.sync(() => transcript.say(`died: ${defect}`))),
    Effect.onExit((exit) => Effect.sync(() => transcript.end(Exit.isSuccess(exit) ? 0 : 1))),
    Effect.forkScoped
  )
  return { said: transcript.said, exit: transcript.exit, kill: Effect.asVoid(Fiber.interrupt(fiber)) }
})

const startProcess = Effect.fnUntraced(function*(argv: ReadonlyArray<string>) {
  const transcript = new Transcript()
  const [command = "", ...args] = argv
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
      readline.createInterface({ input: child.stdout }).on("line", transcript.say)
      readline.createInterface({ input: child.stderr }).on("line", transcript.say)
      child.on("error", (error) => {
        transcript.say(`failed: ${error.message}`)
        transcript.end(127)
      })
      child.on("close", (code, signal) => transcript.end(code ?? (signal === "SIGKILL" ? 137 : 143)))
      return child
    }),
    // Asked first, so that it may take back what it wrote into XenStore.
    (child) =>
      Effect.gen(function*() {
        child.kill("SIGTERM")
        yield* Effect.timeoutOption(Effect.interruptible(transcript.exit), "10 seconds")
        child.kill("SIGKILL")
        yield* transcript.exit
      })
  )
  return { said: transcript.said, exit: transcript.exit, kill: Effect.sync(() => void child.kill("SIGKILL")) }
})
