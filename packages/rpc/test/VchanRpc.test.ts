import { assert, describe, it } from "@effect/vitest"
import { Listener } from "@vchan/vchan"
import { MemoryXen } from "@vchan/xen"
import { Context, Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Caller, VchanRpcClient, type VchanRpcError, VchanRpcServer } from "../src/index.ts"
import { turn, until } from "./support/rawPeer.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Find", { payload: { key: Schema.String }, success: Schema.String, error: Missing }),
  Rpc.make("Who", { success: Schema.Int }),
  Rpc.make("Wait"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Endless", { success: Schema.Uint8Array, stream: true }),
  Rpc.make("Big", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array })
)

class Log extends Context.Service<Log, { running: number }>()("test/Log") {}

const Handlers = Group.toLayer(Effect.gen(function*() {
  const log = yield* Log
  const run = Effect.acquireRelease(
    Effect.sync(() => log.running++),
    () => Effect.sync(() => log.running--)
  )
  return Group.of({
    Say: ({ text }) => Effect.succeed(text),
    Find: ({ key }) => Effect.fail(new Missing({ key })),
    Who: () => Effect.map(Caller, ({ domid }) => domid),
    Wait: () => Effect.andThen(run, Effect.never),
    Count: ({ to }) => Stream.range(1, to),
    Endless: () => Stream.unwrap(Effect.as(run, Stream.forever(Stream.make(new Uint8Array(1000))))),
    Big: ({ bytes }) => Effect.succeed(bytes)
  })
}))

const LogLive = Layer.sync(Log, () => ({ running: 0 }))

const server = (options: Partial<VchanRpcServer.Options> = {}) =>
  VchanRpcServer.layer(Group, { service: "test", clients: "any", grace: 0, ...options }).pipe(
    Layer.provide(Handlers),
    Layer.provide(Logger.layer([]))
  )

/** A host with the group served by domain 5, which must hold nothing when all is over. */
const world = Effect.fnUntraced(function*(options: Partial<VchanRpcServer.Options> = {}) {
  const host = yield* MemoryXen.make()
  const log = yield* Log
  const serving = yield* Layer.launch(Layer.provide(server(options), host.domain(5))).pipe(
    Effect.provideService(Log, log),
    Effect.forkScoped
  )
  const inDomain = <A, E, R>(domid: number, effect: Effect.Effect<A, E, R>) => Effect.provide(effect, host.domain(domid))
  return { host, log, serving, inDomain }
})

/** Waits until no domain holds anything. */
const released = (host: MemoryXen.MemoryXen): Effect.Effect<void> =>
  Effect.catchDefect(host.assertReleased, () => Effect.andThen(turn, Effect.suspend(() => released(host))))

const client = VchanRpcClient.make(Group, { domain: 5, service: "test" })

const tagOf = (error: VchanRpcError | Missing): string => error._tag === "VchanRpcError" ? error.reason._tag : error._tag

describe("A service between domains", () => {
  it.live("serves calls, typed failures and streams, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { host, inDomain, serving } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const echo = yield* client
          assert.strictEqual(yield* echo.Say({ text: "hi" }), "hi")
          assert.instanceOf(yield* Effect.flip(echo.Find({ key: "k" })), Missing)
          assert.strictEqual((yield* Stream.runCollect(echo.Count({ to: 10_000 }))).length, 10_000)
          const bytes = new Uint8Array(900_000).fill(7)
          assert.deepStrictEqual(yield* echo.Big({ bytes }), bytes)
        }).pipe(Effect.scoped)
      )
      yield* Fiber.interrupt(serving)
      yield* host.assertReleased
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("tells each of two domains' calls, at once, who called", () =>
    Effect.gen(function*() {
      const { inDomain } = yield* world({ clients: [7, 9] })
      const ask = (domid: number) =>
        inDomain(
          domid,
          Effect.gen(function*() {
            const echo = yield* client
            return yield* Effect.forEach(Array.from({ length: 500 }), () => echo.Who(), { concurrency: "unbounded" })
          }).pipe(Effect.scoped)
        )
      const [seven, nine] = yield* Effect.all([ask(7), ask(9)], { concurrency: 2 })
      assert.deepStrictEqual([...new Set(seven)], [7])
      assert.deepStrictEqual([...new Set(nine)], [9])
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("is not there for a domain that is not admitted", () =>
    Effect.gen(function*() {
      const { inDomain } = yield* world({ clients: [7] })
      const refused = VchanRpcClient.make(Group, { domain: 5, service: "test", timeout: 50 })
      const error = yield* inDomain(9, Effect.flip(Effect.scoped(refused)))
      assert.strictEqual(error.reason._tag, "ConnectFailed")
      assert.include(error.message, "test with domain 5: could not connect")
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("an interrupted call ends its handler in the other domain", () =>
    Effect.gen(function*() {
      const { inDomain, log } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const echo = yield* client
          const fiber = yield* Effect.forkChild(echo.Wait())
          yield* until(() => log.running === 1 || undefined)
          yield* Fiber.interrupt(fiber)
          yield* until(() => log.running === 0 || undefined)
          assert.strictEqual(yield* echo.Say({ text: "on" }), "on")
        }).pipe(Effect.scoped)
      )
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("a killed client leaves no handler, and other clients go on", () =>
    Effect.gen(function*() {
      const { host, inDomain, log } = yield* world()
      const busy = Effect.gen(function*() {
        const echo = yield* client
        yield* Effect.forkChild(Stream.runDrain(echo.Endless()))
        return yield* echo.Wait()
      })
      const fiber = yield* Effect.forkScoped(Effect.exit(inDomain(7, Effect.scoped(busy))))
      yield* until(() => log.running === 2 || undefined)
      yield* inDomain(
        9,
        Effect.gen(function*() {
          const echo = yield* client
          yield* host.kill(7)
          yield* until(() => log.running === 0 || undefined)
          assert.strictEqual(yield* echo.Who(), 9)
        }).pipe(Effect.scoped)
      )
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("a killed server fails its clients' calls, once, and later ones at once where there is no reconnection", () =>
    Effect.gen(function*() {
      const { host, inDomain, log } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const echo = yield* VchanRpcClient.make(Group, { domain: 5, service: "test", reconnect: false })
          const fiber = yield* Effect.forkChild(Effect.flip(echo.Wait()))
          yield* until(() => log.running === 1 || undefined)
          yield* host.kill(5)
          assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "ConnectionLost")
          assert.strictEqual(tagOf(yield* Effect.flip(echo.Say({ text: "late" }))), "ConnectionLost")
        }).pipe(Effect.scoped)
      )
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("a server that stops tells its callers, and has released everything when it is done", () =>
    Effect.gen(function*() {
      const { host, inDomain, log, serving } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const echo = yield* client
          const fiber = yield* Effect.forkChild(Effect.flip(echo.Wait()))
          yield* until(() => log.running === 1 || undefined)
          yield* Fiber.interrupt(serving)
          assert.strictEqual(log.running, 0)
          assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "Interrupted")
        }).pipe(Effect.scoped)
      )
      yield* host.assertReleased
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("a client whose server does not talk holds nothing, though its Scope lives on", () =>
    Effect.gen(function*() {
      const host = yield* MemoryXen.make()
      const silent = Listener.make({ path: "data/rpc/test", clients: "any", handler: (vchan) => Effect.asVoid(vchan.ended) })
      const serving = yield* Effect.forkScoped(Effect.provide(Effect.scoped(Effect.andThen(silent, Effect.never)), host.domain(5)))
      yield* Effect.gen(function*() {
        const error = yield* Effect.flip(VchanRpcClient.make(Group, { domain: 5, service: "test", timeout: 100 }))
        assert.strictEqual(error.reason._tag, "HandshakeTimeout")
        yield* Fiber.interrupt(serving)
        yield* host.assertReleased
      }).pipe(Effect.scoped, Effect.provide(host.domain(7)))
    }).pipe(Effect.scoped))

  it.live("a client whose connection was lost holds nothing, though its Scope lives on", () =>
    Effect.gen(function*() {
      const { host, inDomain } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const echo = yield* client
          assert.strictEqual(yield* echo.Who(), 7)
          yield* host.kill(5)
          yield* released(host)
        }).pipe(Effect.scoped)
      )
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("two connections of one domain work side by side", () =>
    Effect.gen(function*() {
      const { inDomain } = yield* world()
      yield* inDomain(
        7,
        Effect.gen(function*() {
          const [one, two] = yield* Effect.all([client, client], { concurrency: 2 })
          const texts = yield* Effect.all([one.Say({ text: "a" }), two.Say({ text: "b" })], { concurrency: 2 })
          assert.deepStrictEqual(texts, ["a", "b"])
        }).pipe(Effect.scoped)
      )
    }).pipe(Effect.scoped, Effect.provide(LogLive)))

  it.live("a name that is no XenStore key is a defect", () =>
    Effect.gen(function*() {
      const host = yield* MemoryXen.make()
      const wrong = VchanRpcClient.make(Group, { domain: 5, service: "a/b" })
      const exit = yield* Effect.exit(Effect.provide(Effect.scoped(wrong), host.domain(7)))
      assert.include(String(exit), "a service's name")
    }).pipe(Effect.scoped))
})
