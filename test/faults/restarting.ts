/**
 * A process that serves `restarting` to anybody, and is to be killed in the middle of its calls. Its argument is the domain of an emulated host
 * that it is to be of; without, it is of the one that it runs in.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen, Xen } from "@vchan/xen-linux"
import { Effect, Layer } from "effect"
import { Restarting } from "./contract.ts"
import { tell } from "./tell.ts"

const domid = process.argv[2]

const handlers = Restarting.toLayer({
  Get: ({ key }) => Effect.as(Effect.sleep("2 millis"), key),
  Add: ({ key }) => Effect.as(Effect.sleep("2 millis"), key),
  Hang: () => Effect.never
})

Layer.effectDiscard(tell("ready")).pipe(
  Layer.provide(VchanRpcServer.layer(Restarting, { service: "restarting", clients: "any" })),
  Layer.provide(handlers),
  Layer.provide(domid === undefined ? Xen.layer : EmulatedXen.layer({ domid: Number(domid) })),
  Layer.launch,
  NodeRuntime.runMain
)
