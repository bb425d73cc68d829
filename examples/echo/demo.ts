/**
 * `npm start`: the echo example as three processes on an emulated host of its own: the host, the guest that serves, the client that calls.
 *
 * The processes and the run directory belong to this one and end with it, on Ctrl-C too. Its exit code is the client's.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Deferred, Effect, Fiber, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Starts a process, prints its lines under its name, and waits for the first of them, or for the process's end. */
const start = Effect.fnUntraced(function*(name: string, directory: string, command: string, argument: string) {
  const child = yield* ChildProcess.make(command, [argument], { env: { VCHAN_HOST: directory }, extendEnv: true, stdin: "ignore" })
  const ready = yield* Deferred.make<void>()
  const output = yield* child.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => Effect.andThen(Console.log(`${name.padEnd(6)} | ${line}`), Deferred.succeed(ready, undefined))),
    Effect.andThen(child.exitCode),
    Effect.forkScoped
  )
  yield* Effect.raceFirst(Deferred.await(ready), Fiber.await(output))
  return { exitCode: Fiber.join(output), stop: Effect.andThen(child.kill(), Fiber.await(output)) }
})

const demo = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ directory: "/dev/shm", prefix: "vchan-demo-" })
  const host = yield* start("host", directory, "vchan", "host")
  const guest = yield* start("guest", directory, "node", program("guest.ts"))
  const client = yield* start("client", directory, "node", program("client.ts"))
  process.exitCode = yield* client.exitCode
  yield* guest.stop
  yield* host.stop
})

demo.pipe(Effect.scoped, Effect.provide(NodeServices.layer), NodeRuntime.runMain)
