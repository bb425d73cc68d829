import { assert, describe, it } from "@effect/vitest"
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { until } from "../conformance/Backend.ts"
import { start, startHost } from "../faults/processes.ts"
import { Messages, messagesHandlers } from "./messages.ts"
import { Ask, Ledger, Odd } from "./place.ts"
import { Registry, registryHandlers } from "./registry.ts"

const domids = [1, 2, 3]
const entities = Array.from({ length: 24 }, (_, at) => `entity ${at}`)

/** What the runners tell of the messages that are to be kept: of those that come to domain 3 they tell for ever. */
const ledger = () => {
  const begun: Array<string> = []
  const done: Array<string> = []
  const layer = VchanRpcServer.layer(Ledger, { service: "ledger", clients: domids, maxCalls: 1024 }).pipe(
    Layer.provide(Ledger.toLayer({
      Note: ({ domid, id }) =>
        Effect.suspend(() => {
          begun.push(id)
          return domid === 3 ? Effect.never : Effect.sync(() => void done.push(id))
        })
    }))
  )
  return { begun, done, layer }
}

/** Three runners, each a process in a domain of its own, and a client of each, in domain 0 where the registry is. */
const cluster = Effect.fnUntraced(function*() {
  const { directory } = yield* startHost
  const zero = yield* Layer.build(EmulatedXen.layer({ directory, domid: 0 }))
  const registry = VchanRpcServer.layer(Registry, { service: "registry", clients: domids }).pipe(Layer.provide(registryHandlers(6000)))
  const messages = VchanRpcServer.layer(Messages, { service: "messages", clients: domids }).pipe(Layer.provide(messagesHandlers))
  const kept = ledger()
  yield* Effect.provideContext(Layer.build(Layer.mergeAll(registry, messages, kept.layer)), zero)
  const runner = new URL("runner.ts", import.meta.url).pathname
  const run = (domid: number) => start(directory, runner, [String(domid), "0"])
  const runners = yield* Effect.forEach(domids, run, { concurrency: "unbounded" })
  yield* Effect.forEach(runners, (runner) => runner.told("runs"))
  const asked = yield* Effect.forEach(
    domids,
    (domain) => Effect.provideContext(VchanRpcClient.make(Ask, { domain, service: "ask", timeout: "60 seconds" }), zero)
  )
  return { runners, asked, run, kept }
})

type Asked = Effect.Success<ReturnType<typeof cluster>>["asked"][number]

/** Where each entity is, as one runner finds them. */
const placesSeenBy = (ask: Asked) =>
  Effect.forEach(entities, (entity) => Effect.map(ask.Where({ entity }), ({ domid }) => domid), { concurrency: "unbounded" })

/** Waits until the entities are spread over so many domains, and none has moved since the last look, before which all runners looked anew. */
const spread = (ask: Asked, over: number) =>
  Effect.suspend(() => {
    let before = ""
    return placesSeenBy(ask).pipe(
      Effect.catchCause(() => Effect.succeed<ReadonlyArray<number>>([])),
      Effect.repeat({
        until: (places) => {
          const settled = new Set(places).size === over && String(places) === before
          before = String(places)
          return settled
        },
        schedule: Schedule.spaced("1500 millis")
      }),
      Effect.timeout("60 seconds")
    )
  })

describe("a cluster of three runners in three domains", () => {
  it.live("gives each entity one place, sends it what any runner sends, and moves it when its domain dies", () =>
    Effect.gen(function*() {
      const { asked: [one, two, three], runners: [, , last] } = yield* cluster()
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
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))

  it.live("handles a message that is kept once, though the domain that had it is killed, and tells what came of it ever after", () =>
    Effect.gen(function*() {
      const { asked: [one, two], kept: { begun, done }, run, runners: [, , last] } = yield* cluster()
      if (one === undefined || two === undefined || last === undefined) return yield* Effect.die("no three runners")
      const places = yield* spread(one, 3)
      const keep = Effect.forEach(entities, (entity) => one.Keep({ entity, id: entity }), { concurrency: "unbounded" })
      const keeping = yield* Effect.forkChild(keep)
      const stuck = entities.filter((_, at) => places[at] === 3)
      assert.isNotEmpty(stuck)
      yield* until("each has begun", () => new Set(begun).size === entities.length)
      yield* until("those elsewhere are done", () => done.length >= entities.length - stuck.length)
      assert.deepStrictEqual(entities.filter((entity) => !done.includes(entity)), stuck)

      yield* last.kill()
      const kept = yield* Fiber.join(keeping)
      assert.notInclude(kept, 3)
      assert.deepStrictEqual([...done].sort(), [...entities].sort())
      assert.deepStrictEqual([...begun].sort(), [...entities, ...stuck].sort())

      const again = yield* run(3)
      yield* again.told("runs")
      yield* spread(one, 3)
      const repeated = yield* Effect.forEach(entities, (entity) => two.Keep({ entity, id: entity }), { concurrency: "unbounded" })
      assert.deepStrictEqual(repeated, kept)
      assert.strictEqual(done.length, entities.length)
      assert.strictEqual(begun.length, entities.length + stuck.length)
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))
})
