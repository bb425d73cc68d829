/**
 * The service and its callers in Effect: over a vchan with this project's engine, and over a unix socket with Effect's own RPC.
 */
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { Effect, Layer, Stream } from "effect"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { domain, inDomain } from "../inDomain.ts"
import { Bench } from "./contract.ts"
import { checkBody, checkSum, type Lanes } from "./loads.ts"

const handlers = Bench.toLayer({
  Add: ({ a, b }) => Effect.succeed(a + b),
  Count: ({ chunk, to }) => Stream.range(1, to).pipe(Stream.rechunk(chunk)),
  Same: ({ bytes }) => Effect.succeed(bytes)
})

interface Calls {
  readonly add: (a: number, b: number) => Effect.Effect<number, unknown>
  readonly count: (to: number, chunk: number) => Stream.Stream<number, unknown>
  readonly same: (bytes: Uint8Array) => Effect.Effect<Uint8Array, unknown>
}

const together = <E>(calls: number, inFlight: number, once: (call: number) => Effect.Effect<void, E>): Promise<void> => {
  const lane = (first: number) => {
    let call = first - inFlight
    return Effect.whileLoop({ while: () => (call += inFlight) < calls, body: () => once(call), step: () => {} })
  }
  const lanes = Array.from({ length: Math.min(calls, inFlight) }, (_, first) => first)
  return Effect.runPromise(Effect.forEach(lanes, lane, { concurrency: "unbounded", discard: true }))
}

const lanesOf = ({ add, count, same }: Calls): Lanes => ({
  adds: (calls, inFlight, done) =>
    together(calls, inFlight, (call) =>
      Effect.map(add(call, 1), (sum) => {
        checkSum(call, sum)
        done(call)
      })),
  count: (to, chunk) => Effect.runPromise(Stream.runCount(count(to, chunk))),
  bodies: (bytes, calls, inFlight) => together(calls, inFlight, () => Effect.map(same(bytes), (came) => checkBody(bytes, came)))
})

/** Serves over a vchan. */
export const serveVchan = (ready: () => void): void => {
  const server = VchanRpcServer.layer(Bench, { service: "bench", clients: "any", maxCalls: 65536, maxPerDomain: 1024 })
  void inDomain(domain.server, Layer.build(Layer.provide(server, handlers))).then(ready)
}

/** Calls over a vchan. */
export const vchanLanes = (): Promise<Lanes> =>
  inDomain(
    domain.client,
    Effect.map(VchanRpcClient.make(Bench, { domain: domain.server, service: "bench" }), (client) =>
      lanesOf({
        add: (a, b) => client.Add({ a, b }),
        count: (to, chunk) => client.Count({ to, chunk }),
        same: (bytes) => client.Same({ bytes })
      }))
  )

const serializations = { ndjson: RpcSerialization.layerNdjson, binary: RpcSerialization.layerSchemaBinary() }

export type Serialization = keyof typeof serializations

/** Serves with Effect's own RPC at a unix socket. */
export const serveStock = (serialization: Serialization, path: string, ready: () => void): void => {
  const server = RpcServer.layer(Bench, { disableTracing: true }).pipe(
    Layer.provide(RpcServer.layerProtocolSocketServer),
    Layer.provide(NodeSocketServer.layer({ path })),
    Layer.provide(serializations[serialization]),
    Layer.provide(handlers),
    Layer.tap(() => Effect.sync(ready))
  )
  Effect.runFork(Layer.launch(server))
}

/** Calls with Effect's own RPC. */
export const stockLanes = (serialization: Serialization, path: string): Promise<Lanes> =>
  new Promise((resolve) => {
    const protocol = RpcClient.layerProtocolSocket().pipe(
      Layer.provide(NodeSocket.layerNet({ path })),
      Layer.provide(serializations[serialization])
    )
    Effect.runFork(
      RpcClient.make(Bench, { disableTracing: true }).pipe(
        Effect.map((client) =>
          resolve(lanesOf({
            add: (a, b) => client.Add({ a, b }),
            count: (to, chunk) => client.Count({ to, chunk }),
            same: (bytes) => client.Same({ bytes })
          }))
        ),
        Effect.andThen(Effect.never),
        Effect.provide(protocol),
        Effect.scoped
      )
    )
  })
