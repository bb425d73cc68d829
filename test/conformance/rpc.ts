/**
 * Typed calls between two domains over any backend: streams both ways, what ends them, and what is left of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Caller, VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { type Backend, domidsOf, enter, until } from "./Backend.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { after: Schema.Int }) {}

const Numbers = RpcSchema.Stream(Schema.Int, Broken)
const Group = RpcGroup.make(
  Rpc.make("Who", { success: Schema.Int }),
  Rpc.make("Bytes", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array }),
  Rpc.make("Sum", { payload: { numbers: Numbers }, success: Schema.Int, error: Broken }),
  Rpc.make("Double", { payload: Numbers, success: Schema.Int, error: Broken, stream: true }),
  Rpc.make("Store", { payload: { name: Schema.String, data: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) }, success: Schema.Int }),
  Rpc.make("Hold", { payload: { data: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) }, success: Schema.String })
)

interface Log {
  running: number
  readonly gate: Deferred.Deferred<void>
}

const handlers = (log: Log) => {
  const counted = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(Effect.sync(() => log.running++), () => effect, () => Effect.sync(() => log.running--))
  return Group.toLayer({
    Who: () => Effect.map(Caller, ({ domid }) => domid),
    Bytes: ({ bytes }) => Effect.succeed(bytes),
    Sum: ({ numbers }) => counted(Stream.runFold(numbers, () => 0, (sum, number) => sum + number)),
    Double: (numbers) => Stream.map(numbers, (number) => number * 2),
    Store: ({ data }) => counted(Stream.runFold(data, () => 0, (length, bytes) => length + bytes.length)),
    Hold: ({ data }) => counted(Effect.as(Effect.andThen(Deferred.await(log.gate), Stream.runDrain(Stream.take(data, 1))), "held"))
  })
}

const service = "calls"

/** A caller's stream that tells how many of its items were made, and whether it is open. */
const watched = <A, E>(stream: Stream.Stream<A, E>) => {
  const seen = { made: 0, open: 0 }
  const open = Effect.acquireRelease(Effect.sync(() => seen.open++), () => Effect.sync(() => seen.open--))
  const items = Stream.unwrap(Effect.as(open, Stream.tap(stream, () => Effect.sync(() => seen.made++))))
  return { items, seen }
}

export const rpc = (backend: Backend): void => {
  const ids = domidsOf(backend)

  /** One domain serves, another calls; afterwards nothing is held. */
  const world = Effect.fnUntraced(function*() {
    const host = yield* backend.host()
    yield* Effect.addFinalizer(() => host.assertReleased)
    const [one, two] = yield* Effect.all([enter(host, ids.one), enter(host, ids.two)])
    const log: Log = { running: 0, gate: yield* Deferred.make<void>() }
    const serving = yield* Scope.fork(yield* Effect.scope)
    yield* VchanRpcServer.layer(Group, { service, clients: "any", window: 64 * 1024, grace: "20 seconds" }).pipe(
      Layer.provide([handlers(log), Logger.layer([])]),
      Layer.build,
      Effect.provideContext(one),
      Scope.provide(serving)
    )
    const { changes, client } = yield* Effect.provideContext(
      VchanRpcClient.connect(Group, { domain: ids.one, service, reconnect: false }),
      two
    )
    const idle = until("no handler runs", () => log.running === 0)
    return { changes, client, idle, log, stop: Scope.close(serving, Exit.void) }
  })

  describe(`${backend.name}: typed calls`, () => {
    it.live("carry bytes, and streams either way and both ways at once, with their failures", () =>
      Effect.gen(function*() {
        const { client } = yield* world()
        assert.strictEqual(yield* client.Who(), ids.two)
        const bytes = Uint8Array.from({ length: 600_000 }, (_, at) => at * 31)
        assert.deepStrictEqual(yield* client.Bytes({ bytes }), bytes)
        assert.strictEqual(yield* client.Sum({ numbers: Stream.range(1, 10_000) }), 50_005_000)
        const doubled = yield* Stream.runCollect(client.Double(Stream.range(1, 10_000)))
        assert.deepStrictEqual([...doubled], Array.from({ length: 10_000 }, (_, at) => (at + 1) * 2))
        const data = Stream.fromIterable([1, 65_000, 3, 40_000, 60_000]).pipe(Stream.map((length) => new Uint8Array(length)))
        assert.strictEqual(yield* client.Store({ name: "n".repeat(100_000), data }), 165_004)
        const broken = Stream.concat(Stream.make(1, 2), Stream.fail(new Broken({ after: 2 })))
        assert.deepStrictEqual(yield* Effect.flip(client.Sum({ numbers: broken })), new Broken({ after: 2 }))
        assert.deepStrictEqual(yield* Effect.flip(Stream.runDrain(client.Double(broken))), new Broken({ after: 2 }))
      }).pipe(Effect.scoped))

    it.live("stop a caller's stream that the handler does not take, and nobody else", () =>
      Effect.gen(function*() {
        const { client, log } = yield* world()
        const { items, seen } = watched(Stream.forever(Stream.fromEffect(Effect.sync(() => new Uint8Array(1000)))))
        const call = yield* Effect.forkChild(client.Hold({ data: items }))
        yield* until("the handler runs", () => log.running === 1)
        assert.strictEqual(
          yield* client.Store({ name: "other", data: Stream.range(1, 500).pipe(Stream.map(() => new Uint8Array(1000))) }),
          500_000
        )
        assert.isAtMost(seen.made, 64 + 16)
        yield* Deferred.succeed(log.gate, undefined)
        assert.strictEqual(yield* Fiber.join(call), "held")
        assert.strictEqual(seen.open, 0)
      }).pipe(Effect.scoped))

    it.live("end a caller's stream and its handler with the caller", () =>
      Effect.gen(function*() {
        const { client, idle, log } = yield* world()
        const { items, seen } = watched(Stream.never)
        const call = yield* Effect.forkChild(client.Sum({ numbers: items }))
        yield* until("the handler runs", () => log.running === 1)
        yield* Fiber.interrupt(call)
        assert.strictEqual(seen.open, 0)
        yield* idle
      }).pipe(Effect.scoped))

    it.live("come to their end when the server stops, and new ones fail", () =>
      Effect.gen(function*() {
        const { changes, client, log, stop } = yield* world()
        const next = yield* Deferred.make<void>()
        const numbers = Stream.concat(Stream.make(1), Stream.fromEffect(Effect.as(Deferred.await(next), 2)))
        const call = yield* Effect.forkChild(client.Sum({ numbers }))
        yield* until("the handler runs", () => log.running === 1)
        const stopping = yield* Effect.forkChild(stop)
        // The client is lost to new calls as soon as it has heard.
        yield* Stream.runDrain(changes)
        assert.strictEqual((yield* Effect.flip(client.Who())).reason._tag, "Draining")
        yield* Deferred.succeed(next, undefined)
        assert.strictEqual(yield* Fiber.join(call), 3)
        yield* Fiber.join(stopping)
        assert.strictEqual(log.running, 0)
      }).pipe(Effect.scoped))
  })
}
