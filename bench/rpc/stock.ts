/**
 * The service with Effect's own RPC: over a unix socket, and over a vchan.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { VchanProtocol } from "@vchan/rpc"
import type { DomId } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer } from "effect"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { domain, keeping } from "../inDomain.ts"
import { handlers, lanesBy } from "./calls.ts"
import { Bench } from "./contract.ts"
import type { Lanes } from "./loads.ts"

const serializations = { ndjson: RpcSerialization.layerNdjson, binary: RpcSerialization.layerSchemaBinary() }

export type Serialization = keyof typeof serializations

const server = Layer.build(RpcServer.layer(Bench, { disableTracing: true }).pipe(Layer.provide(handlers)))

const client = Effect.map(RpcClient.make(Bench, { disableTracing: true }), (client) => lanesBy(() => client))

export const serveStock = (serialization: Serialization, path: string, ready: () => void): void => {
  const protocol = RpcServer.layerProtocolSocketServer.pipe(
    Layer.provide([NodeSocketServer.layer({ path }), serializations[serialization]])
  )
  void keeping(server, protocol).then(ready)
}

export const stockLanes = (serialization: Serialization, path: string): Promise<Lanes> =>
  keeping(client, RpcClient.layerProtocolSocket().pipe(Layer.provide([NodeSocket.layerNet({ path }), serializations[serialization]])))

/** Each serialization has a place of its own. */
const placeOf = (serialization: Serialization) => ({ domain: domain.server, service: `bench-${serialization}` })

const xen = (domid: DomId, serialization: Serialization) => Layer.provide([EmulatedXen.layer({ domid }), serializations[serialization]])

/** Serves over a vchan. */
export const serveStockVchan = (serialization: Serialization, ready: () => void): void => {
  const protocol = VchanProtocol.layerServer({ ...placeOf(serialization), clients: "any" }).pipe(xen(domain.server, serialization))
  void keeping(server, protocol).then(ready)
}

export const stockVchanLanes = (serialization: Serialization): Promise<Lanes> =>
  keeping(client, VchanProtocol.layerClient(placeOf(serialization)).pipe(xen(domain.client, serialization)))
