/**
 * A process that serves `restarting` to anybody, as the domain that it is given, and is to be killed in the middle of its calls.
 */
import { NodeRuntime } from "@effect/platform-node"
import { VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer } from "effect"
import { Restarting } from "./contract.ts"
import { tell } from "./tell.ts"

const handlers = Restarting.toLayer({
  Get: ({ key }) => Effect.as(Effect.sleep("2 millis"), key),
  Add: ({ key }) => Effect.as(Effect.sleep("2 millis"), key),
  Hang: () => Effect.never
})

Layer.effectDiscard(tell("ready")).pipe(
  Layer.provide(VchanRpcServer.layer(Restarting, { service: "restarting", clients: "any" })),
  Layer.provide(handlers),
  Layer.provide(EmulatedXen.layer({ domid: Number(process.argv[2]) })),
  Layer.launch,
  NodeRuntime.runMain
)
