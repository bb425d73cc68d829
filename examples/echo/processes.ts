/**
 * What the demos and the tests of the examples run on: an emulated host of their own, and a process for each program. All of them belong to a Scope and
 * end with it, on Ctrl-C too.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Deferred, Effect, Fiber, FileSystem, Queue, type Scope, Stream } from "effect"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"

type Needed = ChildProcessSpawner.ChildProcessSpawner | Scope.Scope

/** Hears what the programs say, line by line. */
export type Hear = (name: string, line: string) => Effect.Effect<void>

const run = Effect.fnUntraced(function*(name: string, hear: Hear, env: Record<string, string>, command: string, ...words: Array<string>) {
  const child = yield* ChildProcess.make(command, words, { env, extendEnv: true, stdin: "ignore" })
  const ready = yield* Deferred.make<void>()
  const output = yield* child.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => Effect.andThen(hear(name, line), Deferred.succeed(ready, undefined))),
    Effect.andThen(child.exitCode),
    Effect.forkScoped
  )
  yield* Effect.raceFirst(Deferred.await(ready), Fiber.await(output))
  const end = (killSignal: "SIGTERM" | "SIGKILL") => Effect.andThen(child.kill({ killSignal }), Fiber.await(output))
  return { exitCode: Fiber.join(output), stop: end("SIGTERM"), kill: end("SIGKILL") }
})

/** Starts a host. What it gives starts a program in a domain of its own, waits until it has said something or is over, and can end it. */
export const emulatedHost = Effect.fnUntraced(function*(hear: Hear) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ directory: "/dev/shm", prefix: "vchan-demo-" })
  const env = { VCHAN_HOST: directory }
  const host = yield* run("host", hear, env, "vchan", "host")
  const start = (name: string, file: string, words: ReadonlyArray<string> = [], more: Record<string, string> = {}) =>
    run(name, hear, { ...env, ...more }, "node", file, ...words)
  return { directory, start, stop: host.stop }
})

/** A host, and how programs are started on it. */
export type Host = Effect.Success<ReturnType<typeof emulatedHost>>

/** A host, and a way to wait until a program on it says something: the line, after the program's name. */
export const heardHost = Effect.gen(function*() {
  const said = yield* Queue.unbounded<string>()
  const host = yield* emulatedHost((name, line) => Queue.offer(said, `${name}: ${line}`))
  const hear = (what: string | RegExp): Effect.Effect<string> =>
    Effect.flatMap(
      Queue.take(said),
      (line) => (typeof what === "string" ? line.includes(what) : what.test(line)) ? Effect.succeed(line) : hear(what)
    )
  return { host, hear }
})

/** Runs a demo to its end, and prints each line under its program's name. The exit code is that of what `play` gives. */
export const demo = <E>(play: (host: Host) => Effect.Effect<number, E, Needed>): void =>
  Effect.gen(function*() {
    const host = yield* emulatedHost((name, line) => Console.log(`${name.padEnd(6)} | ${line}`))
    process.exitCode = yield* play(host)
    yield* host.stop
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer), NodeRuntime.runMain)
