/** `client.ts <domid of the server> get <name> [<target>]`, or `put <file> [<name>]` */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { isDomId } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { SingleBar } from "cli-progress"
import { Console, Effect, Schedule, Schema } from "effect"
import { basename } from "node:path"
import { Files, Name } from "./contract.ts"
import { download, type Progress, upload } from "./copy.ts"

const usage = "client.ts <domid of the server> get <name> [<target>], or put <file> [<name>]"
const [domid, command, from = "", to = basename(from)] = process.argv.slice(2)
const domain = Number(domid)

const progressBar = Effect.acquireRelease(
  Effect.sync(() => {
    const format = "{bar} {percentage}% of {total} bytes, {eta_formatted} left"
    return new SingleBar({ format, noTTYOutput: true, notTTYSchedule: 200 })
  }),
  (bar) => Effect.sync(() => bar.stop())
)

/** Where the server was away, the copy goes on where it was. */
const insist = <A, E extends Error & { readonly _tag: string }, R>(copy: Effect.Effect<A, E, R>) =>
  Effect.retry(copy, { schedule: Schedule.spaced("200 millis"), while: (error) => error._tag === "VchanRpcError" })

const copy = Effect.gen(function*() {
  if (!isDomId(domain) || (command !== "get" && command !== "put")) return yield* Effect.fail(new Error(usage))
  yield* Schema.decodeEffect(Name)(command === "get" ? from : to)
  const files = yield* VchanRpcClient.make(Files, { domain, service: "files" })
  const bar = yield* progressBar
  const progress: Progress = (done, size) => bar.isActive ? bar.update(done) : bar.start(size, done)
  if (command === "put") yield* insist(upload(files, from, to, progress))
  else yield* insist(download(files, from, to, progress))
})

copy.pipe(
  Effect.scoped,
  Effect.andThen(Console.log(`${from} is in ${to}, and its checksum is right`)),
  Effect.provide(Xen.layer),
  Effect.catch(({ message }) => {
    process.exitCode = 1
    return Console.error(message)
  }),
  NodeRuntime.runMain
)
