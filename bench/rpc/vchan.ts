/** The service over a vchan with this project's engine. */
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { Effect, Layer } from "effect"
import { domain, inDomain } from "../inDomain.ts"
import { handlersWithUploads, lanesWithUploads } from "./calls.ts"
import { BenchWithUploads } from "./contract.ts"
import type { Lanes } from "./loads.ts"

/** Where it is served. */
export const place = { domain: domain.server, service: "bench" }

export const serveVchan = (ready: () => void): void => {
  const server = VchanRpcServer.layer(BenchWithUploads, { service: place.service, clients: "any", maxCalls: 65536, maxPerDomain: 1024 })
  void inDomain(domain.server, Layer.build(Layer.provide(server, handlersWithUploads))).then(ready)
}

export const vchanLanes = (): Promise<Lanes> =>
  inDomain(domain.client, Effect.map(VchanRpcClient.make(BenchWithUploads, place), lanesWithUploads))
