import { assert, describe, it } from "@effect/vitest"
import { VchanRpcServer } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { Effect, Layer, Logger } from "effect"
import * as fc from "fast-check"
import { memory } from "../conformance/backends.ts"
import { Fuzzed, handlers, methods, service, servicePath } from "./contract.ts"
import { FramePeer } from "./FramePeer.ts"
import { frameBytes, honestGreeting } from "./frames.ts"
import { plan } from "./frameScenarios.ts"
import { Ledger } from "./Ledger.ts"
import { mostKept } from "./limits.ts"
import { scenario } from "./Scenario.ts"
import { turns, until } from "./turns.ts"
import { honest, hostile, world } from "./world.ts"

type Plan = ReturnType<typeof plan> extends fc.Arbitrary<infer A> ? A : never

const limits = { maxMessage: 1024 * 1024, maxCalls: 128, memory: 4 * 1024 * 1024, maxHeaders: 1024, window: 4096, highWater: 64 * 1024 }

const methodOf = (name: string): number => methods.findIndex((method) => method.name === name)

const request = (name: string, id: number, json: string): Uint8Array =>
  frameBytes({ type: 3, flags: 0, method: methodOf(name), id, body: new TextEncoder().encode(json) })

describe("A client that asks for all it may, and takes nothing", () => {
  it.live("makes a server keep much, and no more than its limits say", () =>
    Effect.scoped(world(
      memory,
      Effect.fnUntraced(function*(parties) {
        const ledger = new Ledger(true, () => {})
        const running = { count: 0, most: 0 }
        yield* VchanRpcServer.layer(Fuzzed, { service, clients: [hostile], ...limits }).pipe(
          Layer.provide(handlers(running)),
          Layer.build,
          Effect.provideContext(parties.honest)
        )
        const vchan = yield* Listener.connect({ domid: honest, path: servicePath }).pipe(Effect.provideContext(parties.hostile))
        const peer = new FramePeer(vchan, honestGreeting("json"), () => {})
        const send = Effect.fnUntraced(function*(bytes: Uint8Array) {
          peer.act({ does: "bytes", bytes })
          yield* until("the server's reading", () => peer.held < 100_000)
        })
        yield* turns(10)
        yield* ledger.begin
        // As many values as a short message may have.
        const values = `{"value":[${"{},".repeat(12_000)}0]}`
        for (let id = 1; id <= 100; id++) yield* send(request("Hold", id, values))
        peer.act({ does: "listen", reads: false })
        for (let id = 101; id <= 120; id++) yield* send(request("Count", id, `{"to":100000}`))
        for (let id = 121; id <= 160; id++) yield* send(request("Long", id, `{"length":200000}`))
        for (let id = 161; id <= 2000; id++) peer.act({ does: "bytes", bytes: request("Say", id, `{"text":"${"x".repeat(1000)}"}`) })
        yield* turns(100)
        yield* ledger.weigh(mostKept(limits), () => peer.held)
        assert.isAbove(ledger.weighed ?? 0, 10 * limits.memory, "values take more room than their bytes")
      })
    )))
})

/** What a connection may leave behind for ever: nothing, but compiled code goes on to grow for a while. In bytes. */
const perConnection = 6 * 1024

describe("Hostile clients that come and go, one after the other", () => {
  it.live("leave nothing behind in the server", () =>
    Effect.scoped(world(
      memory,
      Effect.fnUntraced(function*(parties) {
        const ledger = new Ledger(true, () => {})
        yield* VchanRpcServer.layer(Fuzzed, { service, clients: [hostile], helloTimeout: "20 millis", ...limits }).pipe(
          Layer.provide(handlers({ count: 0, most: 0 })),
          Layer.build,
          Effect.provideContext(parties.honest)
        )
        const come = ({ actions, greeting }: Plan) =>
          Effect.scoped(Effect.gen(function*() {
            const vchan = yield* Listener.connect({ domid: honest, path: servicePath }).pipe(Effect.provideContext(parties.hostile))
            const peer = new FramePeer(vchan, greeting, () => {})
            for (const action of actions.slice(0, 15)) peer.act(action)
            yield* turns(5)
          }))
        const clients = fc.sample(plan("client"), { numRuns: 150, seed: 1 })
        yield* Effect.forEach(clients.slice(0, 60), come)
        yield* ledger.begin
        yield* Effect.forEach(clients.slice(60), come)
        yield* turns(20)
        yield* ledger.weigh(90 * perConnection, () => 0)
      })
    )).pipe(Effect.provide(Logger.layer([]))))
})

const planted = (run: (ledger: Ledger, actions: number) => Effect.Effect<void>) =>
  scenario({
    name: "planted",
    plan: fc.constant(20),
    actions: (actions) => actions,
    run: (actions, ledger) => run(ledger, actions)
  }).run({ seed: 1, millis: 1 })

describe("The harness finds", () => {
  it.live("a side that keeps what a peer sends, however little of it", () =>
    Effect.gen(function*() {
      const kept: Array<Uint8Array> = []
      const { find } = yield* planted((ledger, actions) =>
        Effect.gen(function*() {
          yield* ledger.begin
          for (let action = 0; action < actions; action++) kept.push(new Uint8Array(64 * 1024))
          yield* ledger.weigh(64 * 1024, () => 0)
        })
      )
      assert.match(find?.error ?? "", /the honest side holds \d+ bytes/)
    }))

  it.live("a side that is woken by each event of a storm", () =>
    Effect.gen(function*() {
      const { find } = yield* planted((ledger, actions) =>
        Effect.gen(function*() {
          yield* ledger.begin
          yield* turns(5)
          yield* ledger.worked({ busy: () => 0, arms: () => 100_000 }, actions)
        })
      )
      assert.match(find?.error ?? "", /the honest side was at work 0 times and slept 100000 times/)
    }))
})
