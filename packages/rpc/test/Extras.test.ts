import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Result, Schema, Stream, Tracer } from "effect"
import { Headers } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { encodeEnvelope, encodeHeaders } from "../src/Envelope.ts"
import { FrameType } from "../src/Frame.ts"
import { Deadline } from "../src/index.ts"
import { serveGroup, type ServeOptions } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

class Guard extends RpcMiddleware.Service<Guard>()("test/Guard", { error: Denied }) {}

const Group = RpcGroup.make(
  Rpc.make("Ping", { success: Schema.String }),
  Rpc.make("Wait", { success: Schema.String }),
  Rpc.make("Fail", { success: Schema.String, error: Schema.String }),
  Rpc.make("Die"),
  Rpc.make("Echo", { success: Schema.Record(Schema.String, Schema.String) }),
  Rpc.make("Guarded", { success: Schema.String }).middleware(Guard),
  Rpc.make("Span", { success: Schema.Array(Schema.String) }),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
)
const methods = methodsOf(Group)
const nothing = Result.getOrThrow(methods[0]?.binary.payload.encode(undefined) ?? Result.fail("none")).slice()

class Log extends Context.Service<Log, { running: number; ended: number; readonly gate: Deferred.Deferred<void> }>()("test/Log") {}

const logged: Array<string> = []

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  return Group.of({
    Ping: () => Effect.succeed("pong"),
    Wait: () =>
      Effect.acquireRelease(
        Effect.sync(() => log.running++),
        () =>
          Effect.sync(() => {
            log.running--
            log.ended++
          })
      ).pipe(Effect.andThen(Deferred.await(log.gate)), Effect.as("done")),
    Fail: () => Effect.fail("no"),
    Die: () => Effect.die(new Error("unheard")),
    Echo: (_, { headers }) => Effect.succeed({ ...headers }),
    Guarded: () => Effect.succeed("in"),
    Span: () =>
      Effect.map(
        Effect.option(Effect.currentSpan),
        (span) => span._tag === "Some" && span.value.parent._tag === "Some" ? [span.value.traceId, span.value.parent.value.spanId] : []
      ),
    Numbers: () => Stream.make(1, 2, 3)
  })
}))

const GuardLive = Layer.succeed(Guard, (effect, { headers }) => headers["token"] === "secret" ? effect : Effect.fail(new Denied()))

const Live = Layer.mergeAll(Handlers, GuardLive).pipe(
  Layer.provideMerge(Layer.sync(Log, () => ({ running: 0, ended: 0, gate: Deferred.makeUnsafe<void>() }))),
  Layer.provideMerge(Logger.layer([Logger.make(({ cause, message }) => void logged.push(String(message), String(cause)))]))
)

const serve = Effect.fnUntraced(function*(options: Partial<ServeOptions> = {}) {
  const { client, server } = memoryVchans()
  const handler = yield* serveGroup(Group, { service: "test", ...options })
  const serving = yield* Effect.forkScoped(Effect.ensuring(handler(server), Effect.sync(() => server.close())))
  const peer = new RawPeer(client)
  peer.hello({ methods })
  yield* peer.typed(FrameType.Hello)
  return { peer, serving }
})

const index = (name: string): number => methods.findIndex((method) => method.name === name)

const discard = { discard: true }

describe("A discarded call", () => {
  it.live("is over for its caller when the handler has started, which goes on", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const log = yield* Log
      assert.isUndefined(yield* client.Wait(undefined, { discard: true }))
      assert.strictEqual(log.running, 1)
      yield* Deferred.succeed(log.gate, undefined)
      yield* until(() => log.ended === 1 || undefined)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("tells nobody of the handler's failure, and the log of its defect", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      logged.length = 0
      assert.isUndefined(yield* client.Fail(undefined, { discard: true }))
      assert.isUndefined(yield* client.Die(undefined, { discard: true }))
      yield* until(() => logged.join().includes("unheard") || undefined)
      assert.strictEqual(yield* client.Ping(), "pong")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("fails where no handler starts: by a middleware, and by a limit", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxCalls: 2 } })
      const log = yield* Log
      assert.instanceOf(yield* Effect.flip(client.Guarded(undefined, { discard: true })), Denied)
      yield* client.Wait(undefined, { discard: true })
      yield* client.Wait(undefined, { discard: true })
      const error = yield* Effect.flip(client.Ping(undefined, { discard: true }))
      assert.strictEqual(error.reason._tag, "TooManyCalls")
      yield* Deferred.succeed(log.gate, undefined)
      yield* until(() => log.ended === 2 || undefined)
      yield* client.Ping(undefined, { discard: true })
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("is ended by its deadline, and with its connection", () =>
    Effect.gen(function*() {
      const { client, serving } = yield* pair(Group, { server: { grace: 0 } })
      const log = yield* Log
      yield* Deadline.within(client.Wait(undefined, { discard: true }), 50)
      yield* until(() => log.ended === 1 || undefined)
      yield* client.Wait(undefined, { discard: true })
      yield* Fiber.interrupt(serving)
      assert.strictEqual(log.ended, 2)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("frees its id: the next call may have it, and gets its own reply", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      const log = yield* Log
      peer.envelope(index("Wait"), 1, encodeEnvelope(discard), nothing)
      yield* peer.typed(FrameType.End, 1)
      peer.send(FrameType.Request, index("Wait"), 1, nothing)
      yield* until(() => log.running === 2 || undefined)
      yield* Deferred.succeed(log.gate, undefined)
      yield* peer.typed(FrameType.Success, 1)
      assert.strictEqual(peer.frames.filter(({ id }) => id === 1).length, 2)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("of a stream closes the connection", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      peer.envelope(index("Numbers"), 1, encodeEnvelope(discard), nothing)
      assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), "nobody wants")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("that a hostile server answers with a value closes the connection", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      const fiber = yield* Effect.forkChild(Effect.flip(client.Ping(undefined, { discard: true })))
      const { id } = yield* peer.frame(({ type }) => type === FrameType.Request)
      peer.send(FrameType.Success, 0, id, nothing)
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "ProtocolViolation")
    }).pipe(Effect.scoped))
})

describe("Headers", () => {
  it.live("of the call and of the fiber come to the handler, the call's own first, in lower case", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.deepStrictEqual(yield* client.Echo(), {})
      const headers = client.Echo(undefined, { headers: { B: "call", c: "grüße" } }).pipe(RpcClient.withHeaders({ a: "fiber", b: "fiber" }))
      assert.deepStrictEqual(yield* headers, { a: "fiber", b: "call", c: "grüße" })
      assert.deepStrictEqual(yield* client.Echo(), {})
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("come to the middlewares", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      assert.instanceOf(yield* Effect.flip(client.Guarded()), Denied)
      assert.strictEqual(yield* client.Guarded(undefined, { headers: { token: "secret" } }), "in")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("over the server's limit fail the call with HeadersTooLarge, and nothing is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group, { server: { maxHeaders: 100 } })
      const error = yield* Effect.flip(client.Echo(undefined, { headers: { a: "x".repeat(100) } }))
      assert.deepInclude(error.reason, { _tag: "HeadersTooLarge", limit: 100 })
      const huge = yield* Effect.flip(client.Echo(undefined, { headers: { a: "x".repeat(100_000) } }))
      assert.strictEqual(huge.reason._tag, "HeadersTooLarge")
      assert.deepStrictEqual(yield* client.Echo(undefined, { headers: { a: "x" } }), { a: "x" })
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("over the limit are refused by the server, too, and the connection goes on", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxHeaders: 100 })
      peer.envelope(index("Echo"), 1, encodeEnvelope({}, encodeHeaders([["a", "x".repeat(100)]])), nothing)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "HeadersTooLarge")
      peer.envelope(index("Echo"), 1, encodeEnvelope({}, encodeHeaders([["a", "x"]])), nothing)
      yield* peer.typed(FrameType.Success, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("over the limit cost a call of the rate, as all that is refused does", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxHeaders: 100, rate: { calls: 1, per: "1 hour" } })
      for (const id of [1, 2]) peer.envelope(index("Echo"), id, encodeEnvelope({}, encodeHeaders([["a", "x".repeat(100)]])), nothing)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "HeadersTooLarge")
      assert.include(text((yield* peer.typed(FrameType.Refusal, 2)).body), "RateExceeded")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("over the limit, of an id that is in use, close the connection: the call that has it is answered once", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxHeaders: 100 })
      peer.send(FrameType.Request, index("Wait"), 1, nothing)
      peer.envelope(index("Echo"), 1, encodeEnvelope({}, encodeHeaders([["a", "x".repeat(100)]])), nothing)
      assert.include(text((yield* peer.typed(FrameType.Goodbye)).body), "the id 1 was used")
      assert.isFalse(peer.frames.some(({ type }) => type === FrameType.Refusal))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("with names of Object's own are headers, and nothing else", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      const names = ["__proto__", "constructor", "toString"].map((name) => [name, "x"] as const)
      peer.envelope(index("Echo"), 1, encodeEnvelope({}, encodeHeaders(names)), nothing)
      yield* peer.typed(FrameType.Success, 1)
      assert.notProperty(Object.prototype, "x")
      assert.isTrue(Headers.isHeaders(Headers.empty))
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

/** A tracer that keeps the spans it was asked for. */
const recorder = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, layer: Layer.succeed(Tracer.Tracer, tracer), tracer }
}

describe("Trace context", () => {
  it.live("goes from the caller's span to the handler's, one trace with both sides' spans", () =>
    Effect.gen(function*() {
      const { layer, spans } = recorder()
      const program = Effect.gen(function*() {
        const { client } = yield* pair(Group)
        const [traceId, parent] = yield* Effect.withSpan(client.Span(), "outer")
        const outer = spans.find(({ name }) => name === "outer")
        const own = spans.find(({ kind, name }) => name === "test.Span" && kind === "client")
        assert.strictEqual(traceId, outer?.traceId)
        assert.strictEqual(parent, own?.spanId)
        assert.strictEqual(spans.filter(({ kind, name }) => name === "test.Span" && kind === "server").length, 1)
        assert.strictEqual(own?.attributes.get("rpc.method"), "Span")
        assert.deepStrictEqual([...yield* Stream.runCollect(client.Numbers())], [1, 2, 3])
        assert.strictEqual(spans.filter(({ name }) => name === "test.Numbers").length, 2)
      })
      yield* program.pipe(Effect.scoped, Effect.provide(Live), Effect.provide(layer))
    }))

  it.live("does not travel where there is no tracer, though there be spans: a request has no envelope", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      yield* Effect.forkChild(Effect.withSpan(client.Ping(), "outer"))
      const request = yield* peer.frame(({ type }) => type === FrameType.Request)
      assert.strictEqual(request.flags, 0)
      assert.strictEqual(request.body.length, nothing.length)
    }).pipe(Effect.scoped))

  it.live("from a caller is nothing to a server without a tracer", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }
      peer.envelope(index("Span"), 1, encodeEnvelope({ trace }), nothing)
      yield* peer.typed(FrameType.Success, 1)
      yield* turns(1)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})
