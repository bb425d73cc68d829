/**
 * Effect's own RPC over a vchan, with each serialization that frames, over any backend: all its features, and what a hostile peer gets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Caller, Discovery, relativeServicePath, servicePath, VchanProtocol, VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { Listener, type Vchan } from "@vchan/vchan"
import { type Cause, Deferred, type Duration, Effect, Exit, Fiber, Layer, Logger, Queue, Schedule, Schema, Scope, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware, RpcSerialization, RpcServer } from "effect/rpc"
import { type Backend, domidsOf, enter, until } from "./Backend.ts"

/** What the engine of this package serves and calls. */
const Other = RpcGroup.make(Rpc.make("Say", { payload: Schema.String, success: Schema.String }))

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", { domid: Schema.Int }) {}

/** Lets nobody in without the right header. */
class Guard extends RpcMiddleware.Service<Guard>()("Guard", { error: Denied }) {}

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Find", { payload: { key: Schema.String }, success: Schema.String, error: Missing }),
  Rpc.make("Die"),
  Rpc.make("Wait"),
  Rpc.make("Late", { success: Schema.Date }),
  Rpc.make("Note", { payload: { text: Schema.String } }),
  Rpc.make("Bytes", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, error: Missing, stream: true }),
  Rpc.make("Queued", { success: Schema.Int, stream: true }),
  Rpc.make("Endless", { success: Schema.Uint8Array, stream: true }),
  Rpc.make("Guarded", { success: Schema.Int }).middleware(Guard)
)

interface Log {
  running: number
  readonly notes: Array<string>
}

const handlers = (log: Log) => {
  const run = Effect.acquireRelease(Effect.sync(() => log.running++), () => Effect.sync(() => log.running--))
  return Group.toLayer({
    Say: ({ text }) => Effect.succeed(text),
    Find: ({ key }) => Effect.fail(new Missing({ key })),
    Die: () => Effect.die(new Error("a bug")),
    Wait: () => Effect.andThen(run, Effect.never),
    Late: () =>
      Effect.gen(function*() {
        const late = yield* Deferred.make<Date>()
        yield* Effect.forkDetach(Effect.delay(Deferred.succeed(late, new Date(0)), "5 millis"))
        return late
      }),
    Note: ({ text }) => Effect.sync(() => void log.notes.push(text)),
    Bytes: ({ bytes }) => Effect.succeed(bytes),
    Count: ({ to }) => Stream.concat(Stream.range(1, to), Stream.fail(new Missing({ key: "end" }))),
    Queued: () =>
      Effect.gen(function*() {
        const queue = yield* Queue.make<number, Cause.Done>({ capacity: 2 })
        yield* Effect.forkScoped(Effect.forEach([1, 2, 3, 4], (item) => Queue.offer(queue, item)).pipe(Effect.andThen(Queue.end(queue))))
        return queue
      }),
    Endless: () => Stream.unwrap(Effect.as(run, Stream.forever(Stream.make(new Uint8Array(1000).fill(7))))),
    Guarded: () => Effect.map(Caller, ({ domid }) => domid)
  })
}

const guard = Layer.succeed(
  Guard,
  Guard.of((effect, { headers }) =>
    Effect.flatMap(Caller, ({ domid }) => headers["word"] === "please" ? effect : Effect.fail(new Denied({ domid })))
  )
)

const serializations = {
  ndjson: RpcSerialization.layerNdjson,
  "JSON-RPC": RpcSerialization.layerNdJsonRpc(),
  SchemaBinary: RpcSerialization.layerSchemaBinary()
}

const service = "effect"

export const effectRpc = (backend: Backend): void => {
  const ids = domidsOf(backend)
  /** In a Scope that `close` closes. */
  const leased = Effect.fnUntraced(function*<A, E, R>(open: Effect.Effect<A, E, R>) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return { it: yield* Scope.provide(open, scope), close: Scope.close(scope, Exit.void) }
  })

  for (const [name, serialization] of Object.entries(serializations)) {
    const server = (log: Log, grace: Duration.Input = "100 millis") =>
      RpcServer.layer(Group, { disableFatalDefects: true }).pipe(
        Layer.provide([handlers(log), guard]),
        Layer.provide(VchanProtocol.layerServer({ service, clients: "any", grace })),
        Layer.provide([serialization, Logger.layer([])])
      )

    const client = Effect.flatMap(
      Layer.build(VchanProtocol.layerClient({ domain: ids.one, service }).pipe(Layer.provide(serialization))),
      (protocol) => Effect.provideContext(RpcClient.make(Group), protocol)
    )

    /** One domain serves, another is there; afterwards nothing is held. */
    const world = Effect.fnUntraced(function*() {
      const host = yield* backend.host()
      yield* Effect.addFinalizer(() => host.assertReleased)
      const [one, two] = yield* Effect.all([enter(host, ids.one), enter(host, ids.two)])
      const log: Log = { running: 0, notes: [] }
      const serving = yield* leased(Effect.provideContext(Layer.build(server(log)), one))
      const dial = leased(Effect.provideContext(client, two))
      return { host, one, two, log, dial, closeServer: serving.close }
    })

    const idle = (log: Log) => until("no handler runs", () => log.running === 0)

    describe(`${backend.name}: Effect's own RPC in ${name}`, () => {
      it.live("carries calls, bytes, typed failures, late replies and defects", () =>
        Effect.gen(function*() {
          const { dial } = yield* world()
          const { it } = yield* dial
          assert.strictEqual(yield* it.Say({ text: "gr\u00fc\u00df\ndir" }), "gr\u00fc\u00df\ndir")
          assert.deepStrictEqual(yield* Effect.flip(it.Find({ key: "k" })), new Missing({ key: "k" }))
          assert.deepStrictEqual(yield* it.Late(), new Date(0))
          const bytes = Uint8Array.from({ length: 600_000 }, (_, at) => at * 31)
          assert.deepStrictEqual(yield* it.Bytes({ bytes }), bytes)
          assert.include(String(yield* Effect.exit(it.Die())), "a bug")
          assert.strictEqual(yield* it.Say({ text: "on" }), "on")
        }).pipe(Effect.scoped))

      it.live("carries streams with their failures, and queues", () =>
        Effect.gen(function*() {
          const { dial, log } = yield* world()
          const { it } = yield* dial
          const items: Array<number> = []
          const counted = Stream.runForEach(it.Count({ to: 10_000 }), (item) => Effect.sync(() => items.push(item)))
          assert.deepStrictEqual(yield* Effect.flip(counted), new Missing({ key: "end" }))
          assert.strictEqual(items.length, 10_000)
          assert.deepStrictEqual(yield* Stream.runCollect(it.Queued()), [1, 2, 3, 4])
          assert.strictEqual((yield* Stream.runCollect(Stream.take(it.Endless(), 1000))).length, 1000)
          yield* idle(log)
        }).pipe(Effect.scoped))

      it.live("tells handlers and middlewares who calls, and what headers it sends", () =>
        Effect.gen(function*() {
          const { dial } = yield* world()
          const { it } = yield* dial
          assert.deepStrictEqual(yield* Effect.flip(it.Guarded()), new Denied({ domid: ids.two }))
          assert.strictEqual(yield* RpcClient.withHeaders(it.Guarded(), { word: "please" }), ids.two)
        }).pipe(Effect.scoped))

      it.live("carries calls that want no answer", () =>
        Effect.gen(function*() {
          const { dial, log } = yield* world()
          const { it } = yield* dial
          yield* it.Note({ text: "noted" }, { discard: true })
          yield* until("the note", () => log.notes.length === 1)
        }).pipe(Effect.scoped))

      it.live("an interrupted call ends its handler", () =>
        Effect.gen(function*() {
          const { dial, log } = yield* world()
          const { it } = yield* dial
          const waiting = yield* Effect.forkChild(it.Wait())
          yield* until("the handler runs", () => log.running === 1)
          yield* Fiber.interrupt(waiting)
          yield* idle(log)
          assert.strictEqual(yield* it.Say({ text: "on" }), "on")
        }).pipe(Effect.scoped))

      it.live("a client that goes, in the middle of calls and streams, leaves no handler", () =>
        Effect.gen(function*() {
          const { dial, log } = yield* world()
          const going = yield* dial
          yield* Effect.forkChild(Effect.exit(going.it.Wait()))
          yield* Effect.forkChild(Effect.exit(Stream.runForEach(going.it.Endless(), () => Effect.sleep("1 millis"))))
          yield* until("both handlers run", () => log.running === 2)
          yield* going.close
          yield* idle(log)
          const { it } = yield* dial
          assert.strictEqual(yield* it.Say({ text: "next" }), "next")
        }).pipe(Effect.scoped))

      it.live("a server that stops fails the calls", () =>
        Effect.gen(function*() {
          const { closeServer, dial, log } = yield* world()
          const { it } = yield* dial
          const waiting = yield* Effect.forkChild(Effect.exit(it.Wait()))
          yield* until("the handler runs", () => log.running === 1)
          yield* closeServer
          assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
          assert.strictEqual(log.running, 0)
        }).pipe(Effect.scoped))

      it.live("calls fail while the server is away, and work again when it is back", () =>
        Effect.gen(function*() {
          const { closeServer, dial, log, one } = yield* world()
          const { it } = yield* dial
          assert.strictEqual(yield* it.Say({ text: "before" }), "before")
          yield* closeServer
          const error = yield* Effect.flip(Effect.repeat(it.Say({ text: "away" }), Schedule.spaced("1 millis")))
          assert.strictEqual(error._tag, "RpcClientError")
          yield* Effect.provideContext(Layer.build(server(log)), one)
          const again = Effect.retry(it.Say({ text: "again" }), Schedule.spaced("10 millis"))
          assert.strictEqual(yield* again, "again")
        }).pipe(Effect.scoped))

      it.live("a hostile client's bytes end nobody's calls but its own", () =>
        Effect.gen(function*() {
          const { dial, two } = yield* world()
          const { it } = yield* dial
          const connect = Effect.provideContext(Listener.connect({ domid: ids.one, path: servicePath(ids.one, service) }), two)
          for (const bytes of hostile) {
            yield* Effect.scoped(Effect.gen(function*() {
              const vchan = yield* connect
              yield* vchan.write(bytes)
              // It answers with a defect, or ends the connection, or waits for the rest: as Effect has it.
              yield* Effect.timeoutOption(vchan.readInto(new Uint8Array(1)), "20 millis")
            })).pipe(Effect.ignore)
            assert.strictEqual(yield* it.Say({ text: "on" }), "on")
          }
        }).pipe(Effect.scoped))

      it.live.skipIf(name !== "ndjson")("a client that takes no answers does not hold up the server's end", () =>
        Effect.gen(function*() {
          const { closeServer, log, two } = yield* world()
          const vchan = yield* Effect.provideContext(Listener.connect({ domid: ids.one, path: servicePath(ids.one, service) }), two)
          const request = (tag: string, id: number, payload: unknown) =>
            vchan.write(text(`${JSON.stringify({ _tag: "Request", id: String(id), tag, payload, headers: [] })}\n`))
          for (let id = 0; id < 10; id++) yield* request("Say", id, { text: "x".repeat(100_000) })
          yield* request("Note", 10, { text: "read" })
          yield* until("all were read", () => log.notes.length === 1)
          yield* closeServer
        }).pipe(Effect.scoped))

      it.live.skipIf(name !== "ndjson")(
        "a client that comes while the server ends waits for the next one, or is told at once",
        () =>
          Effect.gen(function*() {
            const host = yield* backend.host()
            yield* Effect.addFinalizer(() => host.assertReleased)
            const [one, two] = yield* Effect.all([enter(host, ids.one), enter(host, ids.two)])
            const log: Log = { running: 0, notes: [] }
            const serving = yield* leased(Effect.provideContext(Layer.build(server(log, "1 hour")), one))
            const connect = (absent: "wait" | "fail") =>
              Effect.provideContext(Listener.connect({ domid: ids.one, path: servicePath(ids.one, service), absent }), two)
            const stubborn = yield* leased(connect("wait"))
            const request = (tag: string, id: number, payload: unknown) =>
              stubborn.it.write(text(`${JSON.stringify({ _tag: "Request", id: String(id), tag, payload, headers: [] })}\n`))
            for (let id = 0; id < 10; id++) yield* request("Say", id, { text: "x".repeat(100_000) })
            yield* request("Note", 10, { text: "read" })
            yield* until("all were read", () => log.notes.length === 1)
            const closing = yield* Effect.forkChild(serving.close)
            const told = yield* Effect.flip(Effect.repeat(Effect.scoped(connect("fail")), { times: 1000 }))
            assert.strictEqual(told.reason._tag, "ServerAbsent")
            const waiting = yield* Effect.forkChild(
              Effect.flatMap(client, (it) => it.Say({ text: "next" })).pipe(Effect.provideContext(two))
            )
            yield* Effect.sleep("20 millis")
            assert.deepStrictEqual([closing.pollUnsafe(), waiting.pollUnsafe()], [undefined, undefined])
            yield* stubborn.close
            yield* Fiber.join(closing)
            yield* Effect.provideContext(Layer.build(server(log)), one)
            assert.strictEqual(yield* Fiber.join(waiting), "next")
          }).pipe(Effect.scoped)
      )

      it.live("a client of the other kind, at either server, gets a typed failure", () =>
        Effect.gen(function*() {
          const { closeServer, one, two } = yield* world()
          assert.deepStrictEqual(yield* Effect.provideContext(Discovery.services({ domain: ids.one }), two), [])
          const other = VchanRpcClient.make(Other, { domain: ids.one, service, timeout: "2 seconds" })
          const refused = yield* Effect.flip(Effect.scoped(Effect.provideContext(other, two)))
          assert.oneOf(refused.reason._tag, ["HandshakeRefused", "HandshakeTimeout", "ProtocolViolation"])
          yield* closeServer
          const answering = VchanRpcServer.layer(Other, { service, clients: "any" }).pipe(
            Layer.provide([Other.toLayer({ Say: Effect.succeed }), Logger.layer([])])
          )
          yield* Effect.provideContext(Layer.build(answering), one)
          const it = yield* Effect.provideContext(client, two)
          assert.strictEqual((yield* Effect.flip(it.Say({ text: "hi" })))._tag, "RpcClientError")
        }).pipe(Effect.scoped))

      it.live("a hostile server's bytes fail the calls, and nothing else", () =>
        Effect.gen(function*() {
          const host = yield* backend.host()
          const [one, two] = yield* Effect.all([enter(host, ids.one), enter(host, ids.two)])
          for (const bytes of hostile) {
            yield* Effect.scoped(Effect.gen(function*() {
              const handler = (vchan: Vchan) => Effect.ignore(Effect.andThen(vchan.readInto(new Uint8Array(1)), vchan.write(bytes)))
              yield* Effect.provideContext(Listener.make({ path: relativeServicePath(service), clients: "any", handler }), one)
              const it = yield* Effect.provideContext(client, two)
              const exit = yield* Effect.exit(it.Say({ text: "hi" }))
              assert.isTrue(Exit.isFailure(exit))
            }))
          }
        }).pipe(Effect.scoped))
    })
  }
}

const text = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What no honest side sends, of some serialization or of none. */
const hostile: ReadonlyArray<Uint8Array> = [
  new Uint8Array(1000).fill(0xff),
  new Uint8Array(1000),
  new Uint8Array([0xff, 0xff, 0xff, 0x7f, 1, 2, 3]),
  text("null\n"),
  text("{}\n[]\n1\n\"x\"\n"),
  text("{\"_tag\":\"Request\"}\n"),
  text("{\"_tag\":\"Request\",\"id\":\"1\",\"tag\":\"__proto__\",\"payload\":null,\"headers\":[]}\n"),
  text("{\"_tag\":\"Exit\",\"requestId\":\"0\",\"exit\":{\"_tag\":\"Success\",\"value\":{}}}\n{\"_tag\":\"Chunk\",\"requestId\":7}\n"),
  text("{\"jsonrpc\":\"2.0\",\"method\":\"Say\",\"id\":{},\"params\":7}\n")
]
