import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient, type VchanRpcError } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Config, Effect, Layer, Stream } from "effect"
import { HttpRouter } from "effect/http"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { createServer } from "node:http"
import { Primes, Unavailable } from "./contract.ts"
import { Door } from "./door.ts"

/** What went wrong between the domains is for the log; those outside learn what kind it was. */
const unavailable = (error: VchanRpcError) => Effect.andThen(Effect.logWarning(error.message), new Unavailable({ why: error.reason._tag }))

/** Each call goes on to the guest: with its stream, its typed failures, and the interruption when its caller hangs up. */
const Forward = Primes.toLayer(Effect.gen(function*() {
  const guest = yield* VchanRpcClient.make(Primes, { domain: Number(process.argv[2] ?? 1), service: "primes" })
  return Primes.of({
    Factor: (payload) => guest.Factor(payload).pipe(Effect.catchTag("VchanRpcError", unavailable)),
    Between: (payload) => guest.Between(payload).pipe(Stream.catchTag("VchanRpcError", (error) => Stream.fromEffect(unavailable(error))))
  })
}))

const Routes = RpcServer.layerHttp({ group: Primes, path: "/rpc", protocol: "http" }).pipe(
  Layer.provide(Forward),
  Layer.merge(Door)
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.withDefault(Config.String("GATEWAY_HOST"), "127.0.0.1"),
  port: Config.withDefault(Config.Port("GATEWAY_PORT"), 8080)
})

HttpRouter.serve(Routes).pipe(
  Layer.provide([Server, RpcSerialization.layerNdjson, Xen.layer]),
  Layer.launch,
  NodeRuntime.runMain
)
