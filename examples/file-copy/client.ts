/** `client.ts <domid of the server> <name> <target>` */
import { NodeRuntime } from "@effect/platform-node"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { SingleBar } from "cli-progress"
import { Console, Effect, Schedule } from "effect"
import { Files } from "./contract.ts"
import { download } from "./download.ts"

const [domain, name = "", target = name] = process.argv.slice(2)

const progressBar = Effect.acquireRelease(
  Effect.sync(() => {
    const format = "{bar} {percentage}% of {total} bytes, {eta_formatted} left"
    return new SingleBar({ format, noTTYOutput: true, notTTYSchedule: 200 })
  }),
  (bar) => Effect.sync(() => bar.stop())
)

const copy = Effect.gen(function*() {
  const files = yield* VchanRpcClient.make(Files, { domain: Number(domain), service: "files" })
  const bar = yield* progressBar
  const progress = (done: number, size: number) => bar.isActive ? bar.update(done) : bar.start(size, done)
  // Where the server was away, the copy goes on where it was.
  yield* download(files, name, target, progress).pipe(
    Effect.retry({ schedule: Schedule.spaced("200 millis"), while: (error) => error._tag === "VchanRpcError" })
  )
})

copy.pipe(
  Effect.scoped,
  Effect.andThen(Console.log(`${name} is in ${target}, and its checksum is right`)),
  Effect.provide(Xen.layer),
  NodeRuntime.runMain
)
