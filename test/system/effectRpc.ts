/**
 * Effect's own RPC, with the definitions of the echo example: `serve`, or `call <domid>`, with one serialization after the other.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Caller, VchanProtocol } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer, Stream } from "effect"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { Echo, TooLoud } from "../../examples/echo/contract.ts"

const serializations = [["ndjson", RpcSerialization.layerNdjson], ["SchemaBinary", RpcSerialization.layerSchemaBinary()]] as const

const [role, domain] = process.argv.slice(2)

const handlers = (name: string) =>
  Echo.toLayer({
    Say: ({ text }) => text === text.toUpperCase() ? new TooLoud({ text }) : Effect.map(Caller, ({ domid }) => String(domid)),
    Count: ({ to }) => Stream.range(1, to),
    Wait: () => Effect.onInterrupt(Effect.never, () => Console.log(`${name}: interrupted`))
  })

const serve = Effect.gen(function*() {
  for (const [name, serialization] of serializations) {
    yield* Layer.build(
      RpcServer.layer(Echo).pipe(
        Layer.provide(handlers(name)),
        Layer.provide(VchanProtocol.layerServer({ service: `effect-${name}`, clients: "any" })),
        Layer.provide(serialization)
      )
    )
  }
  yield* Console.log(`serves ${serializations.map(([name]) => name).join(" and ")}`)
  return yield* Effect.never
})

const call = Effect.forEach(serializations, ([name, serialization]) =>
  Effect.gen(function*() {
    const echo = yield* RpcClient.make(Echo)
    yield* Console.log(`${name}: called by ${yield* echo.Say({ text: "hello" })}`)
    yield* Console.log(`${name}: counted ${yield* Stream.runCount(echo.Count({ to: 1000 }))}`)
    yield* Effect.catchTag(echo.Say({ text: "HELLO" }), "TooLoud", ({ _tag }) => Console.log(`${name}: failed ${_tag}`))
    yield* Effect.timeoutOption(echo.Wait(), "100 millis")
  }).pipe(
    Effect.scoped,
    Effect.provide(VchanProtocol.layerClient({ domain: Number(domain), service: `effect-${name}`, timeout: "1 minute" })),
    Effect.provide(serialization)
  ))

if (role === "serve") NodeRuntime.runMain(Effect.provide(Effect.scoped(serve), Xen.layer))
else NodeRuntime.runMain(Effect.provide(call, Xen.layer))
