/**
 * The service through Effect's HTTP server, as one outside the host would call it: served here, or by a gateway that calls the one of vchan.ts.
 * The path is that of a file that tells the port.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { VchanRpcClient } from "@vchan/rpc"
import { Effect, Layer, Stream } from "effect"
import { HttpRouter } from "effect/http"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import * as fs from "node:fs"
import { createServer } from "node:http"
import { domain, inDomain, keeping } from "../inDomain.ts"
import { handlers, lanesBy } from "./calls.ts"
import { Bench } from "./contract.ts"
import type { Lanes } from "./loads.ts"
import { place } from "./vchan.ts"

const server = (path: string) => {
  const listener = createServer()
  const routes = RpcServer.layerHttp({ group: Bench, path: "/rpc", protocol: "http", disableTracing: true })
  return HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide([NodeHttpServer.layer(() => listener, { port: 0, host: "127.0.0.1" }), RpcSerialization.layerNdjson]),
    Layer.tap(() =>
      Effect.sync(() => {
        const address = listener.address()
        if (address !== null && typeof address === "object") fs.writeFileSync(path, String(address.port))
      })
    )
  )
}

export const serveHttp = (path: string, ready: () => void): void => void keeping(Layer.build(server(path)), handlers).then(ready)

const forward = Bench.toLayer(
  Effect.map(VchanRpcClient.make(Bench, place), ({ Add, Count, Same }) =>
    Bench.of({
      Add: (terms) => Effect.orDie(Add(terms)),
      Count: (range) => Stream.orDie(Count(range)),
      Same: (body) => Effect.orDie(Same(body))
    }))
)

export const serveGateway = (path: string, ready: () => void): void =>
  void inDomain(domain.client, Layer.build(Layer.provide(server(path), forward))).then(ready)

export const httpLanes = (path: string): Promise<Lanes> => {
  const url = `http://127.0.0.1:${fs.readFileSync(path, "utf8")}/rpc`
  return keeping(
    Effect.map(RpcClient.make(Bench, { disableTracing: true }), (client) => lanesBy(() => client)),
    RpcClient.layerProtocolHttp({ url }).pipe(Layer.provide([NodeHttpClient.layerUndici, RpcSerialization.layerNdjson]))
  )
}
