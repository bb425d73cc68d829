/**
 * What Effect's RPC definitions can say, between two domains over any backend: how groups are put together, what handlers may give, what
 * middlewares do, and what a caller may ask for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Caller, Deadline, Idempotent, VchanRpcClient, type VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, PrimaryKey, Queue, Schema, Stream, Tracer } from "effect"
import { Headers } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcMessage, RpcMiddleware, RpcSchema } from "effect/rpc"
import { type Backend, domidsOf, enter, until } from "./Backend.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", { word: Schema.String }) {}
class NoWord extends Schema.TaggedError<NoWord>()("NoWord", {}) {}
class User extends Context.Service<User, string>()("test/User") {}
class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
class Note extends Context.Service<Note, string>()("test/Note") {}

/** Says who calls, where the caller's half of it sent the word; it needs what `Region` gives. */
class Guard extends RpcMiddleware.Service<Guard, { provides: User; requires: Tenant; clientError: NoWord }>()("test/Guard", {
  error: Denied,
  requiredForClient: true
}) {}
class Region extends RpcMiddleware.Service<Region, { provides: Tenant }>()("test/Region") {}

interface Items<S extends Schema.Constraint> extends Schema.Struct<{ readonly items: Schema.$Array<S>; readonly next: Schema.Int }> {}
interface Page extends Rpc.Custom {
  readonly out: Rpc.Custom.Out<Items<this["success"]>, typeof Missing>
}
/** Methods that give pages, and may miss one. */
const paged = Rpc.custom<Page>(({ defect, success }) => ({
  success: Schema.Struct({ items: Schema.Array(success), next: Schema.Int }),
  error: Missing,
  defect
}))

const Guarded = RpcGroup.make(
  Rpc.make("Who", { success: Schema.String }),
  Rpc.make("Names", { payload: { count: Schema.Int }, success: Schema.String, error: Missing, stream: true })
).middleware(Guard).middleware(Region).prefix("users.")

const Answers = RpcGroup.make(
  Rpc.make("Late", { success: Schema.String, error: Missing }),
  Rpc.make("Queued", { success: Schema.Int, error: Missing, stream: true }),
  Rpc.make("Streamed", { success: RpcSchema.Stream(Schema.Int, Missing) }),
  Rpc.make("Stubborn"),
  Rpc.make("Forked", { success: Schema.Int, stream: true }),
  Rpc.make("Wait").annotate(Idempotent, true),
  Rpc.make("Hang", { success: Schema.Int, stream: true })
)
const Facts = RpcGroup.make(
  Rpc.make("Tag", { success: Schema.String }),
  Rpc.make("Mine", { success: Schema.String }).annotate(Note, "own")
).annotateRpcs(Note, "all").annotateRpcsMerge(Context.make(Deadline.Timeout, "20 seconds")).annotate(Note, "the group's")
const Made = RpcGroup.make(
  Rpc.make("Set").setPayload({ id: Schema.Int }).setSuccess(Schema.Int).setError(Missing).annotateMerge(Context.make(Note, "set")),
  Rpc.make("Keyed", { payload: { a: Schema.Int, b: Schema.String }, success: Schema.String, primaryKey: ({ a, b }) => `${a}/${b}` }),
  Rpc.make("Gone")
).add(paged("Page", { payload: { from: Schema.Int }, success: Schema.Int }))
const Dying = RpcGroup.make(
  Rpc.make("Die", { payload: { how: Schema.Literals(["die", "throw", "interrupt"]) } }),
  Rpc.make("Code", { defect: Schema.Unknown }),
  Rpc.make("Headers", { success: Schema.Record(Schema.String, Schema.String) })
)
const Group = Guarded.merge(Answers, Facts, Made.omit("Gone"), Dying).annotateMerge(Context.make(Note, "merged"))

interface Log {
  running: number
  finished: number
  aborts: number
  readonly gate: Deferred.Deferred<void>
  readonly late: Deferred.Deferred<string, Missing>
}

const handlers = (log: Log) => {
  const watched = Effect.acquireRelease(
    Effect.sync(() => log.running++),
    (_, exit) =>
      Effect.sync(() => {
        log.running--
        if (Exit.isFailure(exit) && exit.cause.reasons.some(({ annotations }) => annotations.has(RpcSchema.ClientAbort.key))) log.aborts++
      })
  )
  const tagOf = (_: unknown, { rpc }: { readonly rpc: Rpc.AnyWithProps }) =>
    Effect.succeed(`${rpc._tag} ${Context.getOrUndefined(rpc.annotations, Note)}`)
  const numbers = Stream.concat(Stream.range(1, 3), Stream.fail(new Missing({ key: "4" })))
  return Layer.mergeAll(
    Guarded.toLayer(Guarded.of({
      "users.Who": () => Effect.map(User, (user) => user),
      "users.Names": ({ count }) => Stream.range(1, count).pipe(Stream.mapEffect((at) => Effect.map(User, (user) => `${user} ${at}`)))
    })),
    Answers.toLayer({
      Late: () => Effect.succeed(log.late),
      Queued: () =>
        Effect.gen(function*() {
          const queue = yield* Queue.make<number, Missing | Cause.Done>({ capacity: 2 })
          const fail = Queue.fail(queue, new Missing({ key: "4" }))
          yield* Effect.forkScoped(Effect.andThen(Effect.forEach([1, 2, 3], (item) => Queue.offer(queue, item)), fail))
          return queue
        }),
      Streamed: () => numbers,
      Stubborn: () => Rpc.uninterruptible(Effect.andThen(Deferred.await(log.gate), Effect.sync(() => void log.finished++))),
      Forked: () => Rpc.wrapMap(Rpc.wrap({ fork: true })(Stream.range(1, 3)), Stream.map((number) => number * 2)),
      Wait: () => Effect.andThen(watched, Effect.never),
      Hang: () => Stream.concat(Stream.make(1), Stream.fromEffect(Effect.andThen(watched, Effect.never)))
    }),
    Facts.toLayerHandler("Tag", tagOf),
    Layer.effectContext(Facts.omit("Tag").toHandlers(Effect.succeed({ Mine: tagOf }))),
    Made.toLayer({
      Set: ({ id }) => id < 0 ? Effect.fail(new Missing({ key: String(id) })) : Effect.succeed(id),
      Keyed: (payload) => Effect.succeed(PrimaryKey.isPrimaryKey(payload) ? PrimaryKey.value(payload) : "none"),
      Gone: () => Effect.void,
      Page: ({ from }) => from < 0 ? Effect.fail(new Missing({ key: "page" })) : Effect.succeed({ items: [from, from + 1], next: from + 2 })
    }),
    Dying.toLayer({
      Die: ({ how }) => {
        if (how === "throw") throw new Error("thrown")
        return how === "die" ? Effect.die(new Error("died")) : Effect.interrupt
      },
      Code: () => Effect.die({ code: 7 }),
      Headers: (_, { headers }) => Effect.succeed({ ...headers })
    })
  )
}

const serverHalves = Layer.merge(
  Layer.succeed(Guard, (effect, { headers }) => {
    const { word = "none" } = headers
    if (word !== "please") return Effect.fail(new Denied({ word }))
    return Effect.flatMap(
      Effect.all([Tenant, Caller]),
      ([tenant, { domid }]) => Effect.provideService(effect, User, `${domid} of ${tenant}`)
    )
  }),
  Layer.succeed(Region, (effect) => Effect.provideService(effect, Tenant, "north"))
)

/** Sends the word that the fiber's headers have for it. */
const clientHalf = RpcMiddleware.layerClient(Guard, ({ next, request }) => {
  const { say } = request.headers
  return say === undefined ? Effect.fail(new NoWord()) : next({ ...request, headers: Headers.set(request.headers, "word", say) })
})

const service = "definitions"
const say = (word: string) => RpcClient.withHeaders({ say: word })

const reasonOf = (error: VchanRpcError | Missing): string => error._tag === "VchanRpcError" ? error.reason._tag : error._tag

export const definitions = (backend: Backend): void => {
  const ids = domidsOf(backend)

  /** One domain serves, another calls; afterwards nothing is held. */
  const world = Effect.fnUntraced(function*(tracer?: Tracer.Tracer) {
    const host = yield* backend.host()
    yield* Effect.addFinalizer(() => host.assertReleased)
    const [one, two] = yield* Effect.all([enter(host, ids.one), enter(host, ids.two)])
    const log: Log = {
      running: 0,
      finished: 0,
      aborts: 0,
      gate: yield* Deferred.make<void>(),
      late: yield* Deferred.make<string, Missing>()
    }
    const traced = tracer === undefined ? Layer.empty : Layer.succeed(Tracer.Tracer, tracer)
    yield* VchanRpcServer.layer(Group, { service, clients: "any" }).pipe(
      Layer.provide([handlers(log), serverHalves, Logger.layer([]), traced]),
      Layer.build,
      Effect.provideContext(one)
    )
    yield* Effect.addFinalizer(() => Deferred.succeed(log.gate, undefined))
    const client = yield* VchanRpcClient.make(Group, { domain: ids.one, service }).pipe(
      Effect.provide(clientHalf),
      Effect.provideContext(two)
    )
    return { client, log, two }
  })

  describe(`${backend.name}: Effect's definitions`, () => {
    it.live("groups are what was added, merged, prefixed and not omitted, and a client may know a part of them", () =>
      Effect.gen(function*() {
        const { client, two } = yield* world()
        assert.deepStrictEqual(yield* client.Page({ from: 1 }), { items: [1, 2], next: 3 })
        assert.deepStrictEqual(yield* Effect.flip(client.Page({ from: -1 })), new Missing({ key: "page" }))
        assert.strictEqual(yield* client.Set({ id: 1 }), 1)
        assert.deepStrictEqual(yield* Effect.flip(client.Set({ id: -1 })), new Missing({ key: "-1" }))
        assert.strictEqual(yield* client.Keyed({ a: 1, b: "x" }), "1/x")
        const part = yield* Effect.provideContext(VchanRpcClient.make(Made, { domain: ids.one, service }), two)
        assert.strictEqual(yield* part.Set({ id: 2 }), 2)
        assert.strictEqual(reasonOf(yield* Effect.flip(part.Gone())), "UnknownMethod")
      }).pipe(Effect.scoped))

    it.live("a handler sees its definition's annotations: its own, and those of all when it was in the group", () =>
      Effect.gen(function*() {
        const { client } = yield* world()
        assert.deepStrictEqual(yield* Effect.all([client.Tag(), client.Mine()]), ["Tag all", "Mine own"])
      }).pipe(Effect.scoped))

    it.live("a handler can be had from its Layer, and run with no transport", () =>
      Effect.gen(function*() {
        const set = yield* Made.accessHandler("Set")
        const options = { client: new Rpc.ServerClient(0), requestId: RpcMessage.RequestId(1), headers: Headers.empty }
        assert.strictEqual(yield* set({ id: 3 }, options), 3)
      }).pipe(Effect.provide(handlers({ running: 0, finished: 0, aborts: 0, gate: Deferred.makeUnsafe(), late: Deferred.makeUnsafe() }))))

    it.live("handlers give values late, queues, streams, and either of them wrapped", () =>
      Effect.gen(function*() {
        const { client, log } = yield* world()
        const late = yield* Effect.forkChild(Effect.all([client.Late(), client.Late()], { concurrency: 2 }))
        const items: Array<number> = []
        const keep = (item: number) => Effect.sync(() => void items.push(item))
        assert.deepStrictEqual(yield* Effect.flip(Stream.runForEach(client.Queued(), keep)), new Missing({ key: "4" }))
        assert.deepStrictEqual(yield* Effect.flip(Stream.runForEach(client.Streamed(), keep)), new Missing({ key: "4" }))
        assert.deepStrictEqual(items, [1, 2, 3, 1, 2, 3])
        assert.deepStrictEqual([...yield* Stream.runCollect(client.Forked())], [2, 4, 6])
        const queue = yield* client.Forked(undefined, { asQueue: true, streamBufferSize: 1 })
        assert.deepStrictEqual(yield* Effect.all([Queue.take(queue), Queue.take(queue), Queue.take(queue)]), [2, 4, 6])
        yield* Deferred.succeed(log.late, "late")
        assert.deepStrictEqual(yield* Fiber.join(late), ["late", "late"])
      }).pipe(Effect.scoped))

    it.live("middlewares give and need services, and both their halves fail with their own errors, of streams too", () =>
      Effect.gen(function*() {
        const { client } = yield* world()
        const names = Effect.map(Stream.runCollect(client["users.Names"]({ count: 2 })), (names) => names.join())
        const user = `${ids.two} of north`
        assert.strictEqual(yield* say("please")(client["users.Who"]()), user)
        assert.strictEqual(yield* say("please")(names), `${user} 1,${user} 2`)
        for (
          const call of [
            Effect.mapError(client["users.Who"](), (error): unknown => error),
            Effect.mapError(names, (error): unknown => error)
          ]
        ) {
          assert.deepStrictEqual(yield* Effect.flip(say("now")(call)), new Denied({ word: "now" }))
          assert.deepStrictEqual(yield* Effect.flip(call), new NoWord())
        }
        assert.deepStrictEqual(yield* Effect.flip(say("no")(client["users.Who"](undefined, { discard: true }))), new Denied({ word: "no" }))
      }).pipe(Effect.scoped))

    it.live("a call can bring headers, want no answer, and say a context, which means nothing here", () =>
      Effect.gen(function*() {
        const { client, log } = yield* world()
        assert.deepStrictEqual(yield* say("hi")(client.Headers(undefined, { headers: { A: "1" }, context: Context.empty() })), {
          a: "1",
          say: "hi"
        })
        yield* client.Stubborn(undefined, { discard: true })
        assert.strictEqual(log.finished, 0)
        yield* Deferred.succeed(log.gate, undefined)
        yield* until("the handler is over", () => log.finished === 1)
      }).pipe(Effect.scoped))

    it.live("an interruption and a deadline end the handler, which may see why, and not one that is uninterruptible", () =>
      Effect.gen(function*() {
        const { client, log } = yield* world()
        const calls = yield* Effect.forEach(
          [client.Wait(), Stream.runDrain(client.Hang()), client.Stubborn()],
          (call) => Effect.forkChild(Effect.asVoid(call))
        )
        yield* until("both run", () => log.running === 2)
        yield* Fiber.interruptAll(calls)
        yield* until("both are over", () => log.running === 0)
        assert.strictEqual(log.aborts, 2)
        for (const call of [client.Wait(), Stream.runDrain(client.Hang())]) {
          assert.strictEqual(reasonOf(yield* Effect.flip(Deadline.within(call, "30 millis"))), "DeadlineExceeded")
        }
        yield* until("both are over", () => log.running === 0)
        assert.strictEqual(log.finished, 0)
        yield* Deferred.succeed(log.gate, undefined)
        yield* until("the stubborn one has finished", () => log.finished === 1)
      }).pipe(Effect.scoped))

    it.live("a defect ends its call alone, as its schema has it, and a handler that interrupts itself does not interrupt its caller", () =>
      Effect.gen(function*() {
        const { client } = yield* world()
        const defectOf = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        for (const [how, message] of [["die", "died"], ["throw", "thrown"]] as const) {
          const defect = defectOf(yield* Effect.exit(client.Die({ how })))
          assert.instanceOf(defect, Error)
          assert.strictEqual(defect.message, message)
        }
        assert.deepStrictEqual(defectOf(yield* Effect.exit(client.Code())), { code: 7 })
        assert.strictEqual(reasonOf(yield* Effect.flip(client.Die({ how: "interrupt" }))), "Interrupted")
        assert.strictEqual(yield* client.Set({ id: 1 }), 1)
      }).pipe(Effect.scoped))

    it.live("a span goes on in the other domain", () =>
      Effect.gen(function*() {
        const spans: Array<Tracer.NativeSpan> = []
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
        const { client } = yield* world(tracer)
        yield* client.Set({ id: 1 }).pipe(Effect.withSpan("outer"), Effect.provideService(Tracer.Tracer, tracer))
        assert.deepStrictEqual(spans.map(({ kind, name }) => `${name} ${kind}`), [
          "outer internal",
          `${service}.Set client`,
          `${service}.Set server`
        ])
        assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)
      }).pipe(Effect.scoped))
  })
}
