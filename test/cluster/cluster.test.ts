import { assert, describe, it } from "@effect/vitest"
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer, Schedule, Stream } from "effect"
import { start, startHost } from "../faults/processes.ts"
import { Ask, Odd } from "./place.ts"
import { Registry, registryHandlers } from "./registry.ts"

const domids = [1, 2, 3]
const entities = Array.from({ length: 24 }, (_, at) => `entity ${at}`)

/** Three runners, each a process in a domain of its own, and a client of each, in domain 0 where the registry is. */
const cluster = Effect.gen(function*() {
  const { directory } = yield* startHost
  const zero = yield* Layer.build(EmulatedXen.layer({ directory, domid: 0 }))
  const registry = VchanRpcServer.layer(Registry, { service: "registry", clients: domids }).pipe(Layer.provide(registryHandlers(6000)))
  yield* Effect.provideContext(Layer.build(registry), zero)
  const runner = new URL("runner.ts", import.meta.url).pathname
  const runners = yield* Effect.forEach(domids, (domid) => start(directory, runner, [String(domid), "0"]), { concurrency: "unbounded" })
  yield* Effect.forEach(runners, (runner) => runner.told("runs"))
  const asked = yield* Effect.forEach(
    domids,
    (domain) => Effect.provideContext(VchanRpcClient.make(Ask, { domain, service: "ask", timeout: "20 seconds" }), zero)
  )
  return { runners, asked }
})

type Asked = Effect.Success<typeof cluster>["asked"][number]

/** Where each entity is, as one runner finds them. */
const placesSeenBy = (ask: Asked) =>
  Effect.forEach(entities, (entity) => Effect.map(ask.Where({ entity }), ({ domid }) => domid), { concurrency: "unbounded" })

/** Waits until the entities are spread over so many domains. */
const spread = (ask: Asked, over: number) =>
  placesSeenBy(ask).pipe(
    Effect.catchCause(() => Effect.succeed<ReadonlyArray<number>>([])),
    Effect.repeat({ until: (places) => new Set(places).size === over, schedule: Schedule.spaced("200 millis") }),
    Effect.timeout("60 seconds")
  )

describe("a cluster of three runners in three domains", { timeout: 120_000 }, () => {
  it.live("gives each entity one place, sends it what any runner sends, and moves it when its domain dies", () =>
    Effect.gen(function*() {
      const { asked: [one, two, three], runners: [, , last] } = yield* cluster
      if (one === undefined || two === undefined || three === undefined || last === undefined) return yield* Effect.die("no three runners")
      const places = yield* spread(one, 3)

      // All agree on the places, and each entity gets the messages of all.
      assert.deepStrictEqual(yield* placesSeenBy(two), places)
      assert.deepStrictEqual(yield* placesSeenBy(three), places)
      const before = yield* Effect.forEach(entities, (entity) => one.Where({ entity }))
      const after = yield* Effect.forEach(entities, (entity) => two.Where({ entity }))
      assert.deepStrictEqual(after, before.map(({ domid, messages }) => ({ domid, messages: messages + 1 })))

      // Streams and typed failures cross domains too, whichever they go to.
      for (const entity of entities.slice(0, 6)) {
        assert.strictEqual((yield* Stream.runCollect(three.Count({ entity, to: 1000 }))).length, 1000)
        const domid = places[entities.indexOf(entity)] ?? -1
        assert.deepStrictEqual(yield* Effect.flip(two.Fail({ entity })), new Odd({ domid }))
      }

      yield* last.kill()
      const moved = yield* spread(one, 2)
      assert.notInclude(moved, 3)
      assert.deepStrictEqual(yield* placesSeenBy(two), moved)
    }).pipe(Effect.scoped, Effect.timeout("110 seconds")))
})
