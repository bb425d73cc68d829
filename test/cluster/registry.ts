/**
 * Where the runners of a cluster find each other: Effect's `RunnerStorage`, kept in one domain and called by the others. A lock on a shard lasts
 * for so long unless it is refreshed.
 */
import { VchanRpcClient, type VchanRpcError } from "@vchan/rpc"
import type { DomId } from "@vchan/xen"
import { Effect, Layer, Schema } from "effect"
import { ClusterError, RunnerStorage } from "effect/cluster"
import { Rpc, RpcGroup } from "effect/rpc"

const address = Schema.String
const shards = Schema.Array(Schema.String)

export const Registry = RpcGroup.make(
  Rpc.make("GetRunners", { success: Schema.Array(Schema.Tuple([Schema.String, Schema.Boolean])) }),
  Rpc.make("Register", { payload: { address, runner: Schema.String, healthy: Schema.Boolean }, success: Schema.Int }),
  Rpc.make("Unregister", { payload: { address } }),
  Rpc.make("SetRunnerHealth", { payload: { address, healthy: Schema.Boolean } }),
  Rpc.make("Acquire", { payload: { address, shards }, success: shards }),
  Rpc.make("Refresh", { payload: { address, shards }, success: shards }),
  Rpc.make("Release", { payload: { address, shard: Schema.String } }),
  Rpc.make("ReleaseAll", { payload: { address } })
)

export const registryHandlers = (lockMillis: number) =>
  Registry.toLayer(Effect.sync(() => {
    const runners = new Map<string, readonly [runner: string, healthy: boolean]>()
    const locks = new Map<string, { readonly address: string; readonly until: number }>()
    let machines = 0
    const lock = (address: string, shards: ReadonlyArray<string>, may: (owner: string | undefined) => boolean) => {
      const now = performance.now()
      return shards.filter((shard) => {
        const held = locks.get(shard)
        if (!may(held !== undefined && held.until > now ? held.address : undefined)) return false
        locks.set(shard, { address, until: now + lockMillis })
        return true
      })
    }
    return Registry.of({
      GetRunners: () => Effect.sync(() => [...runners.values()]),
      Register: ({ address, healthy, runner }) =>
        Effect.sync(() => {
          runners.set(address, [runner, healthy])
          return ++machines
        }),
      Unregister: ({ address }) => Effect.sync(() => void runners.delete(address)),
      SetRunnerHealth: ({ address, healthy }) =>
        Effect.sync(() => {
          const known = runners.get(address)
          if (known !== undefined) runners.set(address, [known[0], healthy])
        }),
      Acquire: ({ address, shards }) => Effect.sync(() => lock(address, shards, (owner) => owner === undefined || owner === address)),
      Refresh: ({ address, shards }) => Effect.sync(() => lock(address, shards, (owner) => owner === address)),
      Release: ({ address, shard }) =>
        Effect.sync(() => {
          if (locks.get(shard)?.address === address) locks.delete(shard)
        }),
      ReleaseAll: ({ address }) =>
        Effect.sync(() => {
          for (const [shard, held] of locks) if (held.address === address) locks.delete(shard)
        })
    })
  }))

/** What a storage fails with. */
export const persistent = <A>(effect: Effect.Effect<A, VchanRpcError>) =>
  Effect.mapError(effect, (cause) => new ClusterError.PersistenceError({ cause }))

/** The storage that a domain keeps. */
export const registryStorage = (domain: DomId) =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.map(VchanRpcClient.make(Registry, { domain, service: "registry" }), (registry) =>
      RunnerStorage.makeEncoded({
        getRunners: persistent(Effect.map(registry.GetRunners(), (runners) => [...runners])),
        register: (address, runner, healthy) => persistent(registry.Register({ address, runner, healthy })),
        unregister: (address) => persistent(registry.Unregister({ address })),
        setRunnerHealth: (address, healthy) => persistent(registry.SetRunnerHealth({ address, healthy })),
        acquire: (address, shards) => persistent(Effect.map(registry.Acquire({ address, shards }), (acquired) => [...acquired])),
        refresh: (address, shards) => persistent(registry.Refresh({ address, shards })),
        release: (address, shard) => persistent(registry.Release({ address, shard })),
        releaseAll: (address) => persistent(registry.ReleaseAll({ address }))
      }))
  )
