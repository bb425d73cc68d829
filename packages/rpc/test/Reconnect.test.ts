import { assert, describe, it } from "@effect/vitest"
import { Listener } from "@vchan/vchan"
import { MemoryXen } from "@vchan/xen"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schedule, Schema, Scope, Stream } from "effect"
import { Rpc, type RpcClient, RpcGroup, RpcSchema } from "effect/rpc"
import { methodsOf } from "../src/Contract.ts"
import { mayRepeat } from "../src/Idempotent.ts"
import {
  type ConnectionState,
  Deadline,
  Draining,
  Idempotent,
  Interrupted,
  UnknownMethod,
  VchanRpcClient,
  VchanRpcError,
  VchanRpcServer
} from "../src/index.ts"
import { turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Which", { success: Schema.Int }),
  Rpc.make("Wait", { payload: { until: Schema.Int }, success: Schema.Int }),
  Rpc.make("Get", { payload: { until: Schema.Int }, success: Schema.Int }).annotate(Idempotent, true),
  Rpc.make("Fail", { error: VchanRpcError }).annotate(Idempotent, true),
  Rpc.make("Quick", { success: Schema.Int }).annotate(Deadline.Timeout, "50 millis"),
  Rpc.make("Crash").annotate(Idempotent, true),
  Rpc.make("Watch", { payload: { until: Schema.Int }, success: Schema.Int, stream: true }).annotate(Idempotent, true),
  Rpc.make("Numbers", { success: Schema.Int, stream: true }),
  Rpc.make("Hold", { success: Schema.Int }),
  Rpc.make("Ticks", { success: Schema.Int, stream: true })
)

/** Often, and soon: what is tested is what happens, not when. */
const soon = Schedule.spaced("2 millis")

const options = { domain: 5, service: "test", reconnect: soon }

/** Domain 5 serves, and may be killed and started again; how often it was, its handlers know. */
const makeWorld = Effect.gen(function*() {
  const host = yield* MemoryXen.make()
  const log = { starts: 0, calls: 0, crash: () => {}, gate: yield* Deferred.make<void>() }
  let serving: Fiber.Fiber<unknown, unknown> | undefined
  /** Answers once it was started often enough. */
  const answer = ({ until }: { readonly until: number }) =>
    Effect.suspend(() => {
      log.calls++
      return log.starts >= until ? Effect.succeed(log.starts) : Effect.never
    })
  const handlers = Group.toLayer({
    Which: () => Effect.sync(() => log.starts),
    Wait: answer,
    Get: answer,
    Fail: () => {
      log.calls++
      return Effect.fail(new VchanRpcError({ domid: 9, service: "other", reason: new Interrupted() }))
    },
    Quick: () => Effect.succeed(1),
    Crash: () =>
      Effect.suspend(() => {
        log.calls++
        log.crash()
        return Effect.never
      }),
    Watch: (payload) =>
      Stream.concat(
        payload.until === 0 ? Stream.make(log.starts) : Stream.empty,
        Stream.fromEffect(answer(payload.until === 0 ? { until: Infinity } : payload))
      ),
    Numbers: () => Stream.rechunk(Stream.range(1, 3), 1),
    Hold: () =>
      Effect.suspend(() => {
        log.calls++
        return Effect.as(Deferred.await(log.gate), log.starts)
      }),
    Ticks: () => Stream.concat(Stream.make(1), Stream.never)
  })
  const start = Effect.gen(function*() {
    log.starts++
    const ready = yield* Deferred.make<void>()
    serving = yield* VchanRpcServer.layer(Group, { service: "test", clients: "any" }).pipe(
      Layer.provide(handlers),
      Layer.tap(() => Deferred.succeed(ready, undefined)),
      Layer.provide(Logger.layer([])),
      Layer.provide(host.domain(5)),
      Layer.launch,
      Effect.forkScoped
    )
    yield* Deferred.await(ready)
  })
  const kill = Effect.suspend(() => Effect.andThen(host.kill(5), serving === undefined ? Effect.void : Fiber.interrupt(serving)))
  /** Ends it in peace. */
  const stop = Effect.suspend(() => serving === undefined ? Effect.void : Fiber.interrupt(serving))
  yield* start
  return { host, log, start, kill, stop, restart: Effect.andThen(kill, start) }
})

const reasonOf = (error: unknown): string => {
  assert.instanceOf(error, VchanRpcError)
  return error.reason._tag
}

/** Runs a test in domain 7, in a Scope of its own. */
const inSeven = <A, E, R>(
  test: (world: Effect.Success<typeof makeWorld>) => Effect.Effect<A, E, R>
) => Effect.scoped(Effect.flatMap(makeWorld, (world) => Effect.provide(Effect.scoped(test(world)), world.host.domain(7))))

describe("A client whose server restarts", () => {
  it.live("fails the calls and streams in flight, once, and makes new ones on the next connection", () =>
    inSeven(Effect.fnUntraced(function*({ log, restart }) {
      const client = yield* VchanRpcClient.make(Group, options)
      const call = yield* Effect.forkChild(Effect.flip(client.Wait({ until: 2 })))
      const stream = yield* Effect.forkChild(Effect.flip(Stream.runDrain(client.Ticks())))
      yield* until(() => log.calls === 1 || undefined)
      assert.strictEqual(yield* client.Which(), 1)
      yield* restart
      assert.strictEqual(reasonOf(yield* Fiber.join(call)), "ConnectionLost")
      assert.strictEqual(reasonOf(yield* Fiber.join(stream)), "ConnectionLost")
      assert.strictEqual(yield* client.Which(), 2)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.Ticks(), 1)), [1])
      assert.strictEqual(log.calls, 1)
    })))

  it.live("makes the calls of an idempotent Rpc again", () =>
    inSeven(Effect.fnUntraced(function*({ log, restart }) {
      const client = yield* VchanRpcClient.make(Group, options)
      const calls = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 100 }), () => client.Get({ until: 3 }), { concurrency: "unbounded" })
      )
      yield* until(() => log.calls === 100 || undefined)
      yield* restart
      yield* until(() => log.calls === 200 || undefined)
      yield* restart
      assert.deepStrictEqual(new Set(yield* Fiber.join(calls)), new Set([3]))
    })))

  it.live("opens an idempotent stream again before its first item, and fails it after that", () =>
    inSeven(Effect.fnUntraced(function*({ log, restart }) {
      const client = yield* VchanRpcClient.make(Group, options)
      const items: Array<number> = []
      const early = yield* Effect.forkChild(Stream.runCollect(client.Watch({ until: 2 })))
      const late = yield* Effect.forkChild(
        Effect.flip(Stream.runForEach(client.Watch({ until: 0 }), (item) => Effect.sync(() => items.push(item))))
      )
      yield* until(() => log.calls === 2 && items.length === 1 || undefined)
      yield* restart
      assert.deepStrictEqual(yield* Fiber.join(early), [2])
      assert.strictEqual(reasonOf(yield* Fiber.join(late)), "ConnectionLost")
      assert.deepStrictEqual(items, [1])
    })))

  it.live("makes an idempotent call five times at most", () =>
    inSeven(Effect.fnUntraced(function*({ log, restart }) {
      const crashes = yield* Effect.sync(() => {
        let crashed = () => {}
        log.crash = () => crashed()
        return Effect.callback<void>((resume) => {
          crashed = () => resume(Effect.void)
        })
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(crashes, restart)))
      const client = yield* VchanRpcClient.make(Group, options)
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Crash())), "ConnectionLost")
      assert.strictEqual(log.calls, 5)
    })))

  it.live("does not repeat a call that failed with the service's own error, even one of that class", () =>
    inSeven(Effect.fnUntraced(function*({ log }) {
      const client = yield* VchanRpcClient.make(Group, options)
      assert.strictEqual((yield* Effect.flip(client.Fail())).service, "other")
      assert.strictEqual(log.calls, 1)
    })))

  it.live("tells how it stands, and ends with Lost when its Scope does", () =>
    inSeven(Effect.fnUntraced(function*({ kill, start }) {
      const scope = yield* Scope.make()
      const seen: Array<ConnectionState> = []
      const { changes, client, state } = yield* Scope.provide(VchanRpcClient.connect(Group, options), scope)
      const watching = yield* Effect.forkChild(Stream.runForEach(changes, (state) => Effect.sync(() => seen.push(state))))
      yield* until(() => seen.length === 1 || undefined)
      yield* kill
      yield* until(() => seen.length > 1 || undefined)
      assert.strictEqual((yield* state)._tag, "Connecting")
      yield* start
      assert.strictEqual(yield* client.Which(), 2)
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(watching)
      const tags = seen.map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags.filter((tag, index) => tag !== tags[index - 1]), ["Open", "Connecting", "Open", "Lost"])
      const first = seen[1]
      assert.strictEqual(first?._tag === "Connecting" && first.error.reason._tag, "ConnectionLost")
    })))
})

describe("A client that connected again and again", () => {
  it.live("holds one connection, and nothing when its Scope has ended", () =>
    Effect.gen(function*() {
      const { host, kill, restart, stop } = yield* makeWorld
      yield* Effect.gen(function*() {
        const client = yield* VchanRpcClient.make(Group, options)
        for (let times = 2; times < 12; times++) {
          yield* restart
          assert.strictEqual(yield* client.Get({ until: times }), times)
        }
        yield* kill
        // Its attempts go on, and leave nothing either.
        yield* Effect.eventually(Effect.catchDefect(host.assertReleased, () => Effect.andThen(turns(1), Effect.fail("held"))))
      }).pipe(Effect.scoped, Effect.provide(host.domain(7)))
      yield* stop
      yield* host.assertReleased
    }).pipe(Effect.scoped))
})

describe("A client whose server ends in peace", () => {
  it.live("gets the answers to what is in flight, while new calls wait for the next server", () =>
    inSeven(Effect.fnUntraced(function*({ log, start, stop }) {
      const { changes, client, state } = yield* VchanRpcClient.connect(Group, options)
      const held = yield* Effect.forkChild(client.Hold())
      yield* until(() => log.calls === 1 || undefined)
      const stopping = yield* Effect.forkChild(stop)
      yield* Stream.runHead(Stream.filter(changes, ({ _tag }) => _tag === "Draining"))
      const waiting = yield* Effect.forkChild(client.Which())
      yield* Deferred.succeed(log.gate, undefined)
      assert.strictEqual(yield* Fiber.join(held), 1)
      yield* Fiber.join(stopping)
      yield* start
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.strictEqual((yield* state)._tag, "Open")
    })))

  it.live("loses no call at all over three restarts, idempotent or not, streams included", () =>
    inSeven(Effect.fnUntraced(function*({ start, stop }) {
      const client = yield* VchanRpcClient.make(Group, options)
      const over = { now: false }
      const seen = new Set<number>()
      const call = Effect.gen(function*() {
        while (!over.now) {
          seen.add(yield* client.Which())
          assert.deepStrictEqual(yield* Stream.runCollect(client.Numbers()), [1, 2, 3])
          yield* turns(1)
        }
      })
      const calling = yield* Effect.forkChild(Effect.all(Array.from({ length: 20 }, () => call), { concurrency: "unbounded" }))
      for (let times = 1; times <= 4; times++) {
        yield* until(() => seen.has(times) || undefined)
        if (times < 4) yield* Effect.andThen(stop, start)
      }
      over.now = true
      yield* Fiber.join(calling)
      assert.deepStrictEqual([...seen], [1, 2, 3, 4])
    })))

  it.live("makes no call on it any more, though it shall not connect again", () =>
    inSeven(Effect.fnUntraced(function*({ log, stop }) {
      const { changes, client } = yield* VchanRpcClient.connect(Group, { ...options, reconnect: false })
      const held = yield* Effect.forkChild(client.Hold())
      yield* until(() => log.calls === 1 || undefined)
      const stopping = yield* Effect.forkChild(stop)
      yield* Stream.runDrain(changes)
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Which())), "Draining")
      yield* Deferred.succeed(log.gate, undefined)
      assert.strictEqual(yield* Fiber.join(held), 1)
      yield* Fiber.join(stopping)
    })))
})

/** A client that knows that its server was killed. */
const withoutServer = Effect.fnUntraced(function*<E, R>(kill: Effect.Effect<void, E, R>, usual?: VchanRpcClient.Options) {
  const { changes, client } = yield* VchanRpcClient.connect(Group, usual ?? options)
  yield* kill
  yield* Stream.runHead(Stream.filter(changes, ({ _tag }) => _tag === "Connecting"))
  return client
})

describe("A call that waits for a connection", () => {
  it.live("fails at its deadline, its own or its Rpc's", () =>
    inSeven(Effect.fnUntraced(function*({ kill }) {
      const client = yield* withoutServer(kill)
      const calls = [client.Quick(), Deadline.within(client.Which(), "50 millis"), Deadline.within(client.Get({ until: 1 }), "50 millis")]
      const errors = yield* Effect.forEach(calls, (call) => Effect.flip(call), { concurrency: "unbounded" })
      assert.deepStrictEqual(errors.map(reasonOf), ["DeadlineExceeded", "DeadlineExceeded", "DeadlineExceeded"])
      const stream = Deadline.within(Stream.runDrain(client.Ticks()), "50 millis")
      const error = yield* Effect.flip(stream)
      assert.strictEqual(reasonOf(error), "DeadlineExceeded")
      assert.include(error.message, "test.Ticks with domain 5")
    })))

  it.live("can be interrupted, and is not made then", () =>
    inSeven(Effect.fnUntraced(function*({ kill, log, start }) {
      const client = yield* withoutServer(kill)
      const call = yield* Effect.forkChild(client.Wait({ until: 1 }))
      const other = yield* Effect.forkChild(client.Wait({ until: 1 }))
      yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(call)
      yield* start
      assert.strictEqual(yield* Fiber.join(other), 2)
      assert.strictEqual(log.calls, 1)
    })))

  it.live("fails when the Scope of its client ends", () =>
    inSeven(Effect.fnUntraced(function*({ kill }) {
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(withoutServer(kill), scope)
      const call = yield* Effect.forkChild(Effect.flip(client.Which()))
      yield* Effect.sleep("5 millis")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(reasonOf(yield* Fiber.join(call)), "ConnectionLost")
      assert.include(String(yield* Effect.flip(client.Which())), "this end of the connection is closed")
    })))

  it.live("fails with the last attempt's reason when the Schedule ends, as do all later ones", () =>
    inSeven(Effect.fnUntraced(function*({ kill, start }) {
      const reconnect = Schedule.upTo(soon, { times: 3 })
      const { client, state } = yield* VchanRpcClient.connect(Group, { ...options, reconnect })
      yield* kill
      const error = yield* Effect.flip(client.Get({ until: 1 }))
      assert.strictEqual(reasonOf(error), "ConnectFailed")
      assert.strictEqual((yield* state)._tag, "Lost")
      yield* start
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Which())), "ConnectFailed")
      assert.strictEqual(reasonOf(yield* Effect.flip(Stream.runDrain(client.Ticks()))), "ConnectFailed")
    })))
})

describe("A Schedule that dies", () => {
  it.live("fails all calls, and lets none wait", () =>
    inSeven(Effect.fnUntraced(function*({ kill }) {
      const reconnect = Schedule.map(soon, () => Effect.die("the test's"))
      const { client, state } = yield* VchanRpcClient.connect(Group, { ...options, reconnect })
      yield* kill
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Get({ until: 2 }))), "ConnectionLost")
      assert.strictEqual((yield* state)._tag, "Lost")
    })).pipe(Effect.provide(Logger.layer([]))))
})

describe("The usual Schedule", () => {
  it.live("goes on while no server is there", () =>
    inSeven(Effect.fnUntraced(function*({ kill, start }) {
      const client = yield* withoutServer(kill, { domain: 5, service: "test" })
      const call = yield* Effect.forkChild(client.Which())
      yield* Effect.sleep("300 millis")
      yield* start
      assert.strictEqual(yield* Fiber.join(call), 2)
    })))

  it.live("ends where the next server is not to be talked to", () =>
    inSeven(Effect.fnUntraced(function*({ host, kill }) {
      const client = yield* withoutServer(kill, { domain: 5, service: "test" })
      const nonsense = new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")
      yield* Listener.make({
        path: "data/rpc/test",
        clients: "any",
        handler: (vchan) => Effect.andThen(Effect.ignore(vchan.write(nonsense)), Effect.asVoid(vchan.ended))
      }).pipe(Effect.andThen(Effect.never), Effect.scoped, Effect.provide(host.domain(5)), Effect.forkScoped)
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Which())), "ProtocolViolation")
    })))
})

class Client extends Context.Service<Client, RpcClient.FromGroup<typeof Group, VchanRpcError>>()("test/Client") {}

describe("A call may be made again", () => {
  const { upload } = methodsOf(RpcGroup.make(Rpc.make("Sum", { payload: RpcSchema.Stream(Schema.Int, Schema.Never) })))[0] ?? {}
  it.each(
    [
      [false, "no stream", undefined, [true, false, false]],
      [true, "no stream", undefined, [true, true, false]],
      [false, "a stream", upload, [false, false, false]],
      [true, "a stream", upload, [true, true, false]]
    ] as const
  )("where it is known not to have run, or may run twice (idempotent: %s, with %s of the caller's)", (isIdempotent, _, upload, may) => {
    const reasons = [new Draining(), new Interrupted(), new UnknownMethod()]
    assert.deepStrictEqual(reasons.map((reason) => mayRepeat({ isIdempotent, upload }, reason)), [...may])
  })
})

describe("VchanRpcClient.layer", () => {
  it.live("gives the client as a service", () =>
    inSeven(Effect.fnUntraced(function*({ host }) {
      const Live = VchanRpcClient.layer(Client, Group, options).pipe(Layer.provide(host.domain(9)))
      assert.strictEqual(yield* Effect.provide(Effect.flatMap(Client, (client) => client.Which()), Live), 1)
    })))
})
