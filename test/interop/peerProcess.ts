/**
 * The program of test/system/peer/peer.ts as a process of the domain `VCHAN_DOMID`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { EmulatedXen } from "@vchan/xen-linux"
import { Console, Effect } from "effect"
import { peer } from "../system/peer/peer.ts"

peer(process.argv.slice(2), (line) => Console.log(line)).pipe(
  Effect.provide(EmulatedXen.layer({ domid: Number(process.env.VCHAN_DOMID) })),
  NodeRuntime.runMain
)
