/**
 * Effect's own RPC, with the definitions of the echo example: `serve <serialization>`, or `call <serialization> <domid>`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Caller, VchanProtocol } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer, Stream } from "effect"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { Echo, TooLoud } from "../../examples/echo/contract.ts"

const [role, name, domain] = process.argv.slice(2)
const service = "effect-rpc"
const serialization = name === "ndjson" ? RpcSerialization.layerNdjson : RpcSerialization.layerSchemaBinary()

const handlers = Echo.toLayer({
  Say: ({ text }) => text === text.toUpperCase() ? new TooLoud({ text }) : Effect.map(Caller, ({ domid }) => String(domid)),
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => Effect.onInterrupt(Effect.never, () => Console.log("interrupted"))
})

const serve = RpcServer.layer(Echo).pipe(
  Layer.provide(handlers),
  Layer.provide(VchanProtocol.layerServer({ service, clients: "any" })),
  Layer.tap(() => Console.log("serves")),
  Layer.launch
)

const call = Effect.gen(function*() {
  const echo = yield* RpcClient.make(Echo)
  yield* Console.log(`called by ${yield* echo.Say({ text: "hello" })}`)
  yield* Console.log(`counted ${yield* Stream.runCount(echo.Count({ to: 1000 }))}`)
  yield* Effect.catchTag(echo.Say({ text: "HELLO" }), "TooLoud", ({ _tag }) => Console.log(`failed: ${_tag}`))
  yield* Effect.timeoutOption(echo.Wait(), "100 millis")
}).pipe(Effect.scoped, Effect.provide(VchanProtocol.layerClient({ domain: Number(domain), service, timeout: "30 seconds" })))

const run = Effect.provide([serialization, Xen.layer])

if (role === "serve") NodeRuntime.runMain(run(serve))
else NodeRuntime.runMain(run(call))
