/**
 * `npm run bench`: typed calls over vchan beside Effect's own RPC over a unix socket, between the same two processes, in one run.
 *
 * The host, the server and the client are processes of their own, and end with this one.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))

// Under load, Node warns of the many listeners that Effect's socket has for writes that wait.
const environment = (directory: string) => ({ VCHAN_HOST: directory, NODE_NO_WARNINGS: "1" })

/** Starts a process, and waits for its first word. */
const start = Effect.fnUntraced(function*(directory: string, command: string, ...words: ReadonlyArray<string>) {
  const child = yield* ChildProcess.make(command, words, {
    env: environment(directory),
    extendEnv: true,
    stdin: "ignore",
    stderr: "inherit"
  })
  yield* Stream.runHead(child.stdout)
})

const bench = Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped({ directory: "/dev/shm", prefix: "vchan-bench-" })
  const socket = `${directory}/stock`
  yield* start(directory, "vchan", "host")
  yield* start(directory, "node", program("server.ts"), socket)
  const client = yield* ChildProcess.make("node", [program("client.ts"), socket], {
    env: environment(directory),
    extendEnv: true,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit"
  })
  process.exitCode = yield* client.exitCode
})

bench.pipe(Effect.scoped, Effect.provide(NodeServices.layer), NodeRuntime.runMain)
