/**
 * The program of peer.ts as a process of its own.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect } from "effect"
import { peer } from "./peer.ts"

peer(process.argv.slice(2), (line) => Console.log(line)).pipe(Effect.provide(Xen.layer), NodeRuntime.runMain)
