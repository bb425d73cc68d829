import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import { VchanRpcTest } from "@vchan/rpc"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter } from "effect/http"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import { heardHost } from "../echo/processes.ts"
import { NotPositive, Primes } from "./contract.ts"
import { PrimesHandlers } from "./handlers.ts"

/** Primes without an end in sight. */
const endless = { from: 1, to: 1_000_000_000 }

const file = (name: string): string => `${import.meta.dirname}/${name}.ts`

const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** A host, and a port for a gateway with what its processes and clients have in their environment. */
const world = Effect.fnUntraced(function*() {
  const { hear, host } = yield* heardHost
  const port = yield* freePort
  const env = { GATEWAY_PORT: String(port), GATEWAY_URL: `http://127.0.0.1:${port}/rpc`, GATEWAY_TOKEN: "secret", VCHAN_DOMID: "0" }
  const startGuest = host.start("guest", file("guest"), [], { VCHAN_DOMID: "1" })
  const startGateway = (more: Record<string, string> = {}) => host.start("gateway", file("gateway"), ["1"], { ...env, ...more })
  return { host, env, startGuest, startGateway, hear }
})

const client = (url: string, token: string) =>
  Layer.build(
    RpcClient.layerProtocolHttp({ url, transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token)) }).pipe(
      Layer.provide([RpcSerialization.layerNdjson, FetchHttpClient.layer])
    )
  ).pipe(Effect.flatMap((protocol) => Effect.provideContext(RpcClient.make(Primes), protocol)))

const bounded = <A, E>(test: Effect.Effect<A, E, NodeServices.NodeServices>) =>
  test.pipe(Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer))

const tries = Effect.fnUntraced(function*(primes: RpcClient.FromGroup<typeof Primes, unknown>) {
  assert.deepStrictEqual(yield* primes.Factor({ n: 5040 }), [2, 2, 2, 2, 3, 3, 5, 7])
  assert.deepStrictEqual(yield* Effect.flip(primes.Factor({ n: -1 })), new NotPositive({ n: -1 }))
  assert.deepStrictEqual(yield* Stream.runCollect(primes.Between({ from: 1000, to: 1020 })), [1009, 1013, 1019])
})

describe("the primes' handlers", () => {
  it.effect("are served over a vchan", () =>
    VchanRpcTest.makeClient(Primes).pipe(Effect.flatMap(tries), Effect.scoped, Effect.provide(PrimesHandlers)))

  const overHttp = (url: string) => RpcClient.layerProtocolHttp({ url }).pipe(Layer.provide(FetchHttpClient.layer))
  const overWebSocket = (url: string) =>
    RpcClient.layerProtocolSocket().pipe(Layer.provide(NodeSocket.layerWebSocket(url.replace("http", "ws"))))

  it.live.each([["http", overHttp], ["websocket", overWebSocket]] as const)(
    "are served over %s by another Layer",
    ([protocol, transport]) =>
      bounded(Effect.scoped(Effect.gen(function*() {
        const port = yield* freePort
        const server = HttpRouter.serve(RpcServer.layerHttp({ group: Primes, path: "/rpc", protocol }), {
          disableLogger: true,
          disableListenLog: true
        }).pipe(
          Layer.provide([
            PrimesHandlers,
            RpcSerialization.layerNdjson,
            NodeHttpServer.layer(createHttpServer, { port, gracefulShutdownTimeout: "1 second" })
          ])
        )
        yield* Layer.build(server)
        const connected = yield* Layer.build(Layer.provide(transport(`http://127.0.0.1:${port}/rpc`), RpcSerialization.layerNdjson))
        yield* tries(yield* Effect.provideContext(RpcClient.make(Primes), connected))
      })))
  )
})

describe("the gateway", () => {
  it.live("lets a client outside call a guest", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { env: { GATEWAY_PORT, GATEWAY_URL }, hear, host } = yield* world()
      const demo = yield* host.start("demo", file("demo"), [], { GATEWAY_PORT, GATEWAY_URL })
      yield* hear("client | 5040 = 2 * 2 * 2 * 2 * 3 * 3 * 5 * 7")
      yield* hear("client | -1 has no factors")
      yield* hear("client | 1019 is prime")
      assert.strictEqual(yield* demo.exitCode, 0)
    }))))

  it.live("lets nobody in without the token", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { env, hear, startGateway, startGuest } = yield* world()
      yield* startGuest
      yield* startGateway()
      yield* hear("Listening on")
      for (const headers of [{}, { authorization: "Bearer" }, { authorization: "Bearer secret2" }, { authorization: "secret" }]) {
        const response = yield* Effect.promise(() => fetch(env.GATEWAY_URL, { method: "POST", body: "{}", headers }))
        assert.strictEqual(response.status, 401)
      }
      const stranger = yield* client(env.GATEWAY_URL, "guess")
      assert.strictEqual((yield* Effect.flip(stranger.Factor({ n: 4 })))._tag, "RpcClientError")
    }))))

  it.live("does not start without a token", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, startGateway, startGuest } = yield* world()
      yield* startGuest
      const gateway = yield* startGateway({ GATEWAY_TOKEN: "" })
      assert.notStrictEqual(yield* gateway.exitCode, 0)
      yield* hear("GATEWAY_TOKEN")
    }))))

  it.live("ends the guest's work when the caller hangs up", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { env, hear, startGateway, startGuest } = yield* world()
      yield* startGuest
      yield* startGateway()
      yield* hear("Listening on")
      const primes = yield* client(env.GATEWAY_URL, "secret")
      yield* Stream.runDrain(Stream.take(primes.Between(endless), 1))
      yield* hear("guest: nobody wants more primes")
    }))))

  it.live("says that the guest is unavailable while it is, and serves again when it is back", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { env, hear, startGateway, startGuest } = yield* world()
      const guest = yield* startGuest
      yield* startGateway()
      yield* hear("Listening on")
      const primes = yield* client(env.GATEWAY_URL, "secret")
      yield* Effect.forkScoped(Effect.andThen(Effect.sleep("300 millis"), guest.kill))
      const error = yield* Effect.flip(Stream.runDrain(primes.Between(endless)))
      assert.strictEqual(error._tag, "Unavailable")
      yield* startGuest
      yield* tries(primes)
    }))))
})
