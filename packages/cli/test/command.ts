/**
 * The real `vchan` command as a child process. A process that was started ends with its Scope.
 */
import { Deferred, Effect, Fiber, type PlatformError, type Scope, Stream } from "effect"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../bin/vchan.js", import.meta.url))

/** How a run ended, and what it printed. */
export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Waits until standard output and error together hold this text. */
  readonly printed: (text: string) => Effect.Effect<void>
  readonly signal: (signal: "SIGINT" | "SIGTERM") => Effect.Effect<void>
  readonly outcome: Effect.Effect<Outcome, PlatformError.PlatformError>
}

/** Starts a command with what comes on its standard input; nothing where none is given. */
export const start = Effect.fnUntraced(function*(
  directory: string,
  args: ReadonlyArray<string>,
  stdin: Stream.Stream<Uint8Array> = Stream.empty,
  env: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Running, PlatformError.PlatformError, Scope.Scope | ChildProcessSpawner.ChildProcessSpawner> {
  const child = yield* ChildProcess.make(process.execPath, [bin, ...args], {
    env: { VCHAN_HOST: directory, ...env },
    extendEnv: true,
    stdin,
    forceKillAfter: "5 seconds"
  })
  const texts = { stdout: "", stderr: "" }
  const waiting = new Set<() => void>()
  const collect = (name: "stdout" | "stderr") =>
    Stream.runForEach(Stream.decodeText(child[name]), (text) =>
      Effect.sync(() => {
        texts[name] += text
        for (const look of waiting) look()
      }))
  const ending = yield* Effect.all([child.exitCode, collect("stdout"), collect("stderr")], { concurrency: "unbounded" }).pipe(
    Effect.map(([code]): Outcome => ({ code, ...texts })),
    Effect.forkScoped
  )
  return {
    printed: (text) =>
      Effect.callback((resume) => {
        const look = () => {
          if (!`${texts.stdout}${texts.stderr}`.includes(text)) return
          waiting.delete(look)
          resume(Effect.void)
        }
        waiting.add(look)
        look()
      }),
    signal: (signal) =>
      Effect.sync(() => {
        process.kill(child.pid, signal)
      }),
    outcome: Fiber.join(ending)
  }
})

/** Runs a command to its end. */
export const run = (
  directory: string,
  args: ReadonlyArray<string>,
  stdin?: Stream.Stream<Uint8Array>
): Effect.Effect<Outcome, PlatformError.PlatformError, ChildProcessSpawner.ChildProcessSpawner> =>
  Effect.scoped(Effect.flatMap(start(directory, args, stdin), (running) => running.outcome))

/** Standard input that brings these bytes and ends. */
export const bytes = (text: string): Stream.Stream<Uint8Array> => Stream.succeed(new TextEncoder().encode(text))

/** Standard input that brings these bytes and ends when it is told to. */
export const bytesUntil = (text: string, end: Deferred.Deferred<void>): Stream.Stream<Uint8Array> =>
  Stream.concat(bytes(text), Stream.fromEffectDrain(Deferred.await(end)))
