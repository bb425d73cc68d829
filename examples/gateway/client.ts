/** Somebody outside: plain HTTP, Effect's own client, and no Xen. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Layer, Redacted, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Primes } from "./contract.ts"

const Protocol = Layer.unwrap(Effect.gen(function*() {
  const token = yield* Config.Redacted("GATEWAY_TOKEN")
  const url = yield* Config.withDefault(Config.String("GATEWAY_URL"), "http://127.0.0.1:8080/rpc")
  return RpcClient.layerProtocolHttp({
    url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(Redacted.value(token)))
  })
}))

const program = Effect.gen(function*() {
  const primes = yield* RpcClient.make(Primes)
  yield* Console.log(`5040 = ${(yield* primes.Factor({ n: 5040 })).join(" * ")}`)
  yield* Effect.catchTag(primes.Factor({ n: -1 }), "NotPositive", ({ n }) => Console.log(`${n} has no factors`))
  yield* Stream.runForEach(primes.Between({ from: 1000, to: 1020 }), (prime) => Console.log(`${prime} is prime`))
})

program.pipe(
  Effect.scoped,
  Effect.provide(Protocol),
  Effect.provide([RpcSerialization.layerNdjson, FetchHttpClient.layer]),
  NodeRuntime.runMain
)
