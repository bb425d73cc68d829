import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { Rate } from "../src/Rate.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"

const Group = RpcGroup.make(Rpc.make("Ping", { success: Schema.String }))
const Live = Group.toLayer({ Ping: () => Effect.succeed("pong") }).pipe(Layer.provideMerge(Logger.layer([])))

const start = (rate: { readonly calls: number; readonly per: "1 hour" | "20 millis" }) =>
  Effect.gen(function*() {
    const serve = yield* serveGroup(Group, { service: "test", rate })
    return Effect.fnUntraced(function*(domid: number) {
      const { client, server } = memoryVchans({ client: domid })
      yield* Effect.forkScoped(serve(server))
      yield* Effect.addFinalizer(() => Effect.sync(() => client.close()))
      return (yield* clientOver(Group, client, { service: "test", helloTimeout: 2000 })).client
    })
  })

describe("A server's rate", () => {
  it.live("holds for all connections of a domain together, and for each domain alone", () =>
    Effect.gen(function*() {
      const connect = yield* start({ calls: 3, per: "1 hour" })
      const one = yield* connect(7)
      const two = yield* connect(7)
      const other = yield* connect(8)
      yield* one.Ping()
      yield* two.Ping()
      yield* one.Ping()
      for (const client of [one, two]) {
        const { reason } = yield* Effect.flip(client.Ping())
        assert.deepInclude(reason, { _tag: "RateExceeded", calls: 3, perMillis: 3_600_000 })
        assert.isAtMost(reason._tag === "RateExceeded" ? reason.retryMillis : Infinity, 1_200_000)
      }
      assert.strictEqual(yield* other.Ping(), "pong")
      const again = yield* connect(7)
      assert.strictEqual((yield* Effect.flip(again.Ping())).reason._tag, "RateExceeded")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("lets calls through again after the time that the refusal tells", () =>
    Effect.gen(function*() {
      const client = yield* (yield* start({ calls: 1, per: "20 millis" }))(7)
      const call: ReturnType<typeof client.Ping> = client.Ping().pipe(
        Effect.catchIf(
          ({ reason }) => reason._tag === "RateExceeded",
          ({ reason }) => Effect.andThen(Effect.sleep(reason._tag === "RateExceeded" ? reason.retryMillis : 0), Effect.suspend(() => call))
        )
      )
      assert.deepStrictEqual(yield* Effect.all([call, call, call]), ["pong", "pong", "pong"])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it("is at least one call in some time", () => {
    for (const rate of [{ calls: 0, per: 1000 }, { calls: NaN, per: 1000 }, { calls: 10, per: 0 }, { calls: Infinity, per: 1000 }]) {
      assert.throws(() => new Rate(rate), RangeError)
    }
  })
})
