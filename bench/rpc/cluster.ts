/**
 * The service as entities of Effect's cluster: a runner in one domain, and who sends them messages in another, over a vchan. What runners share is
 * of no weight for a message, so each process has a storage of its own.
 */
import { VchanProtocol } from "@vchan/rpc"
import type { Xen } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Context, Effect, Layer, Option } from "effect"
import {
  Entity,
  MessageStorage,
  Runner,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerServer,
  RunnerStorage,
  ShardingConfig
} from "effect/cluster"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { domain, keeping } from "../inDomain.ts"
import { calls, lanesBy } from "./calls.ts"
import { Bench } from "./contract.ts"
import type { Lanes } from "./loads.ts"

const Counter = Entity.fromRpcGroup("Counter", Bench)

/** An entity takes one message at a time. */
const entities = 256

const address = RunnerAddress.make(String(domain.server), 1)

const connect = Layer.effect(
  Runners.RpcClientProtocol,
  Effect.gen(function*() {
    const services = yield* Effect.context<Xen | RpcSerialization.RpcSerialization>()
    const { codecFor } = yield* RpcSerialization.RpcSerialization
    return {
      codecFor,
      make: ({ host, port }) =>
        Layer.build(VchanProtocol.layerClient({ domain: Number(host), service: `runner-${port}` })).pipe(
          Effect.provideContext(services),
          Effect.map((protocol) => Context.get(protocol, RpcClient.Protocol))
        )
    }
  })
)

const common = Layer.mergeAll(
  ShardingConfig.layer({ runnerAddress: Option.some(address), entityMailboxCapacity: "unbounded" }),
  MessageStorage.layerNoop,
  RpcSerialization.layerSchemaBinary()
)

export const serveCluster = (ready: () => void): void => {
  const runner = RunnerServer.layerWithClients.pipe(
    Layer.provide([
      RunnerHealth.layerNoop,
      VchanProtocol.layerServer({ service: `runner-${address.port}`, clients: "any" }),
      connect,
      RunnerStorage.layerMemory
    ]),
    Layer.provide(common)
  )
  const served = Counter.toLayer({
    Add: ({ payload }) => calls.Add(payload),
    Count: ({ payload }) => calls.Count(payload),
    Same: ({ payload }) => calls.Same(payload)
  }).pipe(Layer.provide(runner))
  void keeping(Layer.build(served), EmulatedXen.layer({ domid: domain.server })).then(ready)
}

/** A storage that knows of the runner. */
const known = Layer.effect(
  RunnerStorage.RunnerStorage,
  Effect.tap(RunnerStorage.makeMemory, (storage) => storage.register(Runner.make({ address, groups: ["default"], weight: 1 }), true))
)

export const clusterLanes = (): Promise<Lanes> =>
  keeping(
    Effect.map(Counter.client, (clientOf) => {
      const clients = Array.from({ length: entities }, (_, entity) => clientOf(String(entity)))
      return lanesBy((call) => clients[call % entities] ?? clientOf("0"))
    }),
    RunnerServer.layerClientOnly.pipe(
      Layer.provide([connect, known]),
      Layer.provide(common),
      Layer.provide(EmulatedXen.layer({ domid: domain.client }))
    )
  )
