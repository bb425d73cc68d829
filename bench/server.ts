/**
 * A process that serves the same handlers twice: over vchan, and with Effect's own RPC over a unix socket, whose path it is given.
 */
import { NodeRuntime, NodeSocketServer } from "@effect/platform-node"
import { VchanRpcServer } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer, Stream } from "effect"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { Bench } from "./contract.ts"

const handlers = Bench.toLayer({
  Add: ({ a, b }) => Effect.succeed(a + b),
  Count: ({ to }) => Stream.range(1, to).pipe(Stream.rechunk(1)),
  Same: ({ bytes }) => Effect.succeed(bytes)
})

const overVchan = VchanRpcServer.layer(Bench, { service: "bench", clients: "any" }).pipe(Layer.provide(Xen.layer))

const overSocket = RpcServer.layer(Bench, { disableTracing: true }).pipe(
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide(NodeSocketServer.layer({ path: process.argv[2] ?? "" })),
  Layer.provide(RpcSerialization.layerNdjson)
)

Layer.merge(overVchan, overSocket).pipe(
  Layer.provide(handlers),
  Layer.tap(() => Console.log("ready")),
  Layer.launch,
  NodeRuntime.runMain
)
