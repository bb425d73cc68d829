/**
 * A process that is measured: it says "ready", then answers each line with one of its own, `ok` and numbers or `failed` and why.
 *
 * It belongs to the Scope it was started in, which kills it; its standard input ends with this process, and it with that.
 */
import { Data, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import * as readline from "node:readline"

/** A measured process ended, or could not do what it was asked. */
export class AgentError extends Data.TaggedError("AgentError")<{ readonly message: string }> {}

export interface Agent {
  /** Sends a line and waits for the numbers that answer it. One at a time. */
  readonly ask: (line: string) => Effect.Effect<ReadonlyArray<number>, AgentError>
}

/** Under load, Node warns of the many listeners that Effect's socket has for writes that wait. */
const quiet = { NODE_NO_WARNINGS: "1" }

/** A program with its arguments, and what its environment has beyond this one's. */
export interface Command {
  readonly argv: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

/** No line takes longer. */
const patience = "2 minutes"

/** Starts a process, and waits until it is ready. */
export const start = Effect.fnUntraced(function*({ argv, env }: Command): Effect.fn.Return<Agent, AgentError, Scope.Scope> {
  const [program = "", ...args] = argv
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...quiet, ...env } })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let heard: (line: string) => void = () => {}
  let ended: string | undefined
  const end = (how: string) => {
    ended ??= `${argv.join(" ")} ${how}`
    heard("")
  }
  child.once("error", ({ message }) => end(message))
  child.once("exit", (code, signal) => end(`ended with ${signal ?? code}`))
  child.stdin.on("error", () => {})
  readline.createInterface({ input: child.stdout }).on("line", (line) => heard(line))
  const line = Effect.callback<string, AgentError>((resume) => {
    heard = (line) => {
      heard = () => {}
      resume(ended === undefined ? Effect.succeed(line) : Effect.fail(new AgentError({ message: ended })))
    }
    if (ended !== undefined) heard("")
  })
  const inTime = (line: Effect.Effect<string, AgentError>, asked: string) =>
    Effect.timeoutOrElse(line, {
      duration: patience,
      orElse: () => Effect.fail(new AgentError({ message: `${argv.join(" ")}: no answer to ${asked} in ${patience}` }))
    })
  const first = yield* inTime(line, "its start")
  if (first !== "ready") return yield* new AgentError({ message: `${argv.join(" ")}: ${first}` })
  return {
    ask: (request) =>
      Effect.andThen(
        Effect.sync(() => child.stdin.write(`${request}\n`)),
        Effect.flatMap(inTime(line, request), (answer) => {
          const [word, ...numbers] = answer.split(" ")
          if (word === "ok") return Effect.succeed(numbers.map(Number))
          return Effect.fail(new AgentError({ message: `${argv.join(" ")}: ${request}: ${answer}` }))
        })
      )
  }
})
