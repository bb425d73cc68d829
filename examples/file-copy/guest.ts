/** `guest.ts <directory> [<domid that may write>...]` */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcServer } from "@vchan/rpc"
import { ownDomid } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer } from "effect"
import { statSync } from "node:fs"
import { Files } from "./contract.ts"
import { filesIn } from "./handlers.ts"

const [directory = "", ...writers] = process.argv.slice(2)
if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
  console.error("guest.ts <directory> [<domid that may write>...]: that is no directory")
  process.exit(1)
}

VchanRpcServer.layer(Files, { service: "files", clients: "any" }).pipe(
  Layer.tap(() => Effect.flatMap(ownDomid, (domid) => Console.log(`domain ${domid} serves the files in ${directory}`))),
  Layer.provide(filesIn(directory, writers.map(Number))),
  Layer.provide(Xen.layer),
  Layer.launch,
  NodeRuntime.runMain
)
