import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import * as fc from "fast-check"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, turns, until } from "./support/rawPeer.ts"

const Lengths = RpcSchema.Stream(Schema.Uint8Array, Schema.Never)
const Group = RpcGroup.make(
  Rpc.make("Lengths", { payload: { data: Lengths }, success: Schema.Array(Schema.Int) }),
  Rpc.make("Echo", { payload: { data: Lengths, atOnce: Schema.Int }, success: Schema.Uint8Array, stream: true }),
  Rpc.make("Some", { payload: { data: Lengths, count: Schema.Int }, success: Schema.Int }),
  Rpc.make("Hold", { payload: { data: Lengths } }),
  Rpc.make("Ping")
)
const methods = methodsOf(Group)

let running = 0
const counted = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(Effect.sync(() => running++), () => effect, () => Effect.sync(() => running--))
const Live = Group.toLayer({
  Lengths: ({ data }) => counted(Effect.map(Stream.runCollect(data), (items) => items.map(({ length }) => length))),
  Echo: ({ atOnce, data }) => Stream.rechunk(data, atOnce),
  Some: ({ count, data }) => counted(Stream.runCount(Stream.take(data, count))),
  Hold: () => counted(Effect.never),
  Ping: () => Effect.void
}).pipe(Layer.provideMerge(Logger.layer([])))

const window = 4096
const server = { window, maxMessage: 8192, memory: 4 * window * 5 / 4 + 2048 }
const plan = fc.record({
  lengths: fc.array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: window - 16 })), { maxLength: 60 }),
  atOnce: fc.integer({ min: 1, max: 9 }),
  count: fc.integer({ min: 0, max: 20 }),
  size: fc.integer({ min: 64, max: 9000 }),
  cut: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 50 })),
  stop: fc.integer({ min: 0, max: 12 })
})
type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

const holds = (property: (plan: Plan) => Effect.Effect<void, unknown, Layer.Success<typeof Live>>, numRuns: number) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Layer.Success<typeof Live>>()
    yield* Effect.promise(() => fc.assert(fc.asyncProperty(plan, (plan) => Effect.runPromiseWith(context)(property(plan))), { numRuns }))
  }).pipe(Effect.scoped, Effect.provide(Live))

const dataOf = ({ atOnce, lengths }: Plan) =>
  Stream.fromIterable(lengths.map((length) => new Uint8Array(length))).pipe(Stream.rechunk(atOnce))

describe("A caller's stream of any items, in any arrays, over any ring", () => {
  it.live("comes whole and in order, alone and both ways, beside others", () =>
    holds((plan) =>
      Effect.scoped(Effect.gen(function*() {
        const { client } = yield* pair(Group, { ...plan, server, client: { window } })
        const echo = Effect.map(
          Stream.runCollect(client.Echo({ data: dataOf(plan), atOnce: plan.atOnce })),
          (items) => items.map(({ length }) => length)
        )
        const [there, back] = yield* Effect.all([client.Lengths({ data: dataOf(plan) }), echo], { concurrency: 2 })
        assert.deepStrictEqual([there, back], [plan.lengths, plan.lengths])
      })), 60))

  it.live("left, or broken off at any time, leaves no handler, no producer and all of the memory", () =>
    holds((plan) =>
      Effect.scoped(Effect.gen(function*() {
        const { client } = yield* pair(Group, { ...plan, server, client: { window } })
        let open = 0
        const data = Stream.unwrap(Effect.as(
          Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--)),
          Stream.concat(dataOf(plan), Stream.never)
        ))
        for (let round = 0; round < 3; round++) {
          const calls = yield* Effect.forEach(
            [
              client.Some({ data, count: plan.count }),
              client.Lengths({ data }),
              Stream.runDrain(client.Echo({ data, atOnce: plan.atOnce }))
            ],
            (call) => Effect.forkChild(Effect.exit(call))
          )
          yield* turns(plan.stop + 1)
          yield* Effect.forEach(calls, Fiber.interrupt)
          assert.strictEqual(open, 0)
        }
        yield* until(() => running === 0 || undefined)
        // What was broken off has been answered, too.
        yield* client.Ping()
        // Four of them fit, and no fifth.
        const four = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(Effect.exit(client.Hold({ data: Stream.never }))))
        yield* until(() => running === 4 || undefined)
        assert.strictEqual((yield* Effect.flip(client.Hold({ data: Stream.never }))).reason._tag, "TooManyBytes")
        yield* Effect.forEach(four, Fiber.interrupt)
        yield* until(() => running === 0 || undefined)
      })), 40))
})

describe("A caller that leaves while its stream's error waits to be sent", () => {
  const Failing = RpcGroup.make(
    Rpc.make("Store", { payload: RpcSchema.Stream(Schema.Uint8Array, Schema.String) }),
    Rpc.make("Put", { payload: { bytes: Schema.Uint8Array } })
  )

  it.live("keeps its id until the server has ended the call, and the error is not sent", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans({ size: 4096 })
      const peer = new RawPeer(server)
      peer.hello({ methods: methodsOf(Failing) })
      const { client } = yield* clientOver(Failing, end, { service: "test", helloTimeout: 2000 })
      const gate = yield* Deferred.make<never, string>()
      const store = yield* Effect.forkChild(Effect.exit(client.Store(Stream.fromEffect(Deferred.await(gate)))))
      const { id } = yield* peer.frame(({ type }) => type === FrameType.Request)
      peer.reads = false
      const put = yield* Effect.forkChild(client.Put({ bytes: new Uint8Array(60_000) }))
      yield* turns(5)
      yield* Deferred.fail(gate, "x".repeat(40_000))
      yield* turns(5)
      yield* Fiber.interrupt(store)
      peer.reads = true
      peer.read()
      yield* peer.typed(FrameType.Interrupt, id)
      const other = yield* peer.frame((frame) => frame.type === FrameType.Request && frame.id !== id)
      yield* turns(5)
      assert.deepStrictEqual(peer.frames.filter((frame) => frame.id === id).map(({ type }) => type), [
        FrameType.Request,
        FrameType.Interrupt
      ])
      peer.send(FrameType.Refusal, 0, id, new TextEncoder().encode("{\"_tag\":\"Interrupted\"}"))
      peer.send(FrameType.Success, 1, other.id)
      yield* Fiber.join(put)
    }).pipe(Effect.scoped))
})

describe("Any frames of a client's uploads", () => {
  const bodyOf = (index: number, value: unknown) =>
    Result.getOrThrow(methods[index]?.binary.payload.encode(value) ?? Result.fail("none")).slice()
  const items = Result.getOrThrow(methods[3]?.binary.upload?.items.encode([new Uint8Array(700)]) ?? Result.fail("none")).slice()
  const hold = bodyOf(3, {})
  const some = bodyOf(2, { count: 1 })
  const id = fc.integer({ min: 1, max: 4 })
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("hold", "some", "items", "items", "items", "end", "interrupt"), id }),
    fc.record({ kind: fc.constant("bytes"), id, type: fc.constantFrom(4, 5, 7, 10, 11), body: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ kind: fc.constant("first"), id, total: fc.integer({ min: 65_537, max: 70_000 }) })
  )

  it.live("end the connection or leave all of the memory, and no handler", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<Layer.Success<typeof Live>>()
      const limits = { window: 80_000, maxMessage: 80_000, memory: 4 * 100_000 + 1000, grace: 0 }
      const property = (steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer A> ? A : never>) =>
        Effect.scoped(Effect.gen(function*() {
          const { client, server } = memoryVchans()
          const serving = yield* Effect.forkScoped((yield* serveGroup(Group, { service: "test", ...limits }))(server))
          const peer = new RawPeer(client)
          peer.hello({ methods })
          yield* peer.typed(FrameType.Hello)
          const used = new Set<number>()
          for (const step of steps) {
            const { id } = step
            if (step.kind === "bytes" && "type" in step) peer.send(step.type, 3, id, step.body)
            else if (step.kind === "first" && "total" in step) peer.first(FrameType.Chunk, 3, id, step.total, new Uint8Array(500))
            else if (step.kind === "items") peer.send(FrameType.Chunk, 3, id, items)
            else if (step.kind === "end") peer.send(FrameType.End, 3, id)
            else if (step.kind === "interrupt") peer.send(FrameType.Interrupt, 3, id)
            else if (!used.has(id)) {
              used.add(id)
              peer.send(FrameType.Request, step.kind === "hold" ? 3 : 2, id, step.kind === "hold" ? hold : some)
            }
            if (id === 4) yield* turns(2)
          }
          for (const id of used) peer.send(FrameType.Interrupt, 3, id)
          yield* until(() => running === 0 || undefined)
          for (let id = 11; id <= 15; id++) peer.send(FrameType.Request, 3, id, hold)
          const last = yield* peer.frame(({ id, type }) => type === FrameType.Goodbye || (type === FrameType.Refusal && id > 10))
          if (last.type === FrameType.Refusal) assert.deepStrictEqual([last.id, running], [15, 4])
          peer.vchan.close()
          yield* Fiber.join(serving)
          assert.strictEqual(running, 0)
        }))
      yield* Effect.promise(() =>
        fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) => Effect.runPromiseWith(context)(property(steps))), {
          numRuns: 150
        })
      )
    }).pipe(Effect.scoped, Effect.provide(Live)))
})
