/**
 * A process that is a runner of a cluster. Its arguments are its domain and the one that keeps registry, messages and ledger.
 *
 * A runner's address is its domid and a number, for which it serves Effect's own runner protocol as `runner-<number>`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanProtocol, VchanRpcClient, type VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import type { Xen } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Console, Context, Effect, Layer, Option, Ref, Stream } from "effect"
import { RunnerAddress, RunnerHealth, Runners, RunnerServer, ShardingConfig } from "effect/cluster"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { messagesStorage } from "./messages.ts"
import { Ask, Ledger, Odd, Place } from "./place.ts"
import { registryStorage } from "./registry.ts"

const [own = 0, keeper = 0] = process.argv.slice(2).map(Number)
const port = 1
const serviceOf = (port: number) => `runner-${port}`

const clientProtocol = Layer.effect(
  Runners.RpcClientProtocol,
  Effect.gen(function*() {
    const services = yield* Effect.context<Xen | RpcSerialization.RpcSerialization>()
    const { codecFor } = yield* RpcSerialization.RpcSerialization
    return {
      codecFor,
      make: ({ host, port }) =>
        Layer.build(VchanProtocol.layerClient({ domain: Number(host), service: serviceOf(port) })).pipe(
          Effect.provideContext(services),
          Effect.map((protocol) => Context.get(protocol, RpcClient.Protocol))
        )
    }
  })
)

const config = ShardingConfig.layer({
  runnerAddress: Option.some(RunnerAddress.make(String(own), port)),
  shardsPerGroup: 12,
  shardLockExpiration: "6 seconds",
  shardLockRefreshInterval: "1 second",
  refreshAssignmentsInterval: "500 millis",
  runnerHealthCheckInterval: "1 second",
  entityTerminationTimeout: "1 second",
  entityMessagePollInterval: "500 millis",
  entityReplyPollInterval: "200 millis"
})

/** As `RunnerHealth.layerPing`, which would have a runner ping itself too: a domain has no vchan to itself. */
const health = Layer.effect(
  RunnerHealth.RunnerHealth,
  Effect.map(Runners.Runners, (runners) => ({
    isAlive: (address) =>
      address.host === String(own)
        ? Effect.succeed(true)
        : runners.ping(address).pipe(Effect.timeout("1 second"), Effect.retry({ times: 2 }), Effect.isSuccess)
  }))
).pipe(Layer.provide(Runners.layerRpc))

const cluster = RunnerServer.layerWithClients.pipe(
  Layer.provide([health, VchanProtocol.layerServer({ service: serviceOf(port), clients: "any" })]),
  Layer.provide(clientProtocol),
  Layer.provide([config, messagesStorage(keeper), registryStorage(keeper), RpcSerialization.layerSchemaBinary()])
)

class LedgerClient extends Context.Service<LedgerClient, RpcClient.FromGroup<typeof Ledger, VchanRpcError>>()("LedgerClient") {}

const places = Place.toLayer(Effect.gen(function*() {
  const messages = yield* Ref.make(0)
  const ledger = yield* LedgerClient
  return Place.of({
    Where: () => Effect.map(Ref.updateAndGet(messages, (count) => count + 1), (messages) => ({ domid: own, messages })),
    Count: ({ payload: { to } }) => Stream.range(1, to),
    Fail: () => Effect.fail(new Odd({ domid: own })),
    Keep: ({ payload: { id } }) => Effect.orDie(Effect.as(ledger.Note({ id, domid: own }), own))
  })
}))

const asked = Ask.toLayer(Effect.gen(function*() {
  const clientOf = yield* Place.client
  return Ask.of({
    Where: ({ entity }) => Effect.orDie(clientOf(entity).Where()),
    Count: ({ entity, to }) => clientOf(entity).Count({ to }).pipe(Stream.orDie),
    Fail: ({ entity }) => clientOf(entity).Fail().pipe(Effect.catchIf((error) => error._tag !== "Odd", Effect.die)),
    Keep: ({ entity, id }) => Effect.orDie(clientOf(entity).Keep({ id }))
  })
}))

VchanRpcServer.layer(Ask, { service: "ask", clients: [0] }).pipe(
  Layer.provide(asked),
  Layer.merge(Layer.provide(places, VchanRpcClient.layer(LedgerClient, Ledger, { domain: keeper, service: "ledger" }))),
  Layer.provide(cluster),
  Layer.tap(() => Console.log("runs")),
  Layer.provide(EmulatedXen.layer({ domid: own })),
  Layer.launch,
  NodeRuntime.runMain
)
