import { assert, describe, it } from "@effect/vitest"
import { type DomId, EventChannel, type MemoryXen, StoreRefusal, XenStore, type XenStore as Store, XenStoreError } from "@vchan/xen"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"
import { Listener, type Vchan } from "../src/index.ts"
import { as, leased, onHost, pattern, process, readExactly, reasonOf, type Xen } from "./world.ts"

const service = "data/rpc/echo"
const absolute = `/local/domain/3/${service}`

const echo = (vchan: Vchan): Effect.Effect<void> => Effect.ignore(Stream.runForEach(vchan.stream, vchan.write))

const listen = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen, options?: Partial<Listener.ListenerOptions<never>>) {
  const context = yield* process(host, 3)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const listener = yield* Scope.provide(
    as(context)(Listener.make<never>({ path: service, clients: "any", handler: echo, ...options })),
    scope
  )
  return { context, listener, close: Scope.close(scope, Exit.void), store: Context.get(context, XenStore) }
})

const dial = (context: Context.Context<Xen>, options?: Partial<Listener.ConnectOptions>) =>
  leased(as(context)(Listener.connect({ domid: 3, path: service, timeout: "30 seconds", ...options })))

const echoes = Effect.fnUntraced(function*(vchan: Vchan, from: number) {
  yield* vchan.write(pattern(1000, from))
  assert.deepStrictEqual(yield* readExactly(vchan, 1000), pattern(1000, from))
})

/** All keys below a path, as their server sees them. */
const tree = (store: Store["Service"], path: string): Effect.Effect<ReadonlyArray<string>> =>
  store.directory(path).pipe(
    Effect.flatMap((names) => Effect.forEach(names, (name) => Effect.map(tree(store, `${path}/${name}`), (below) => [name, ...below]))),
    Effect.map((lists) => lists.flat()),
    Effect.orElseSucceed(() => [])
  )

/** Waits until something holds. */
const until = <E>(holds: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.flatMap(holds, (yes) => yes ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(holds))) as Effect.Effect<void, E>

describe("a listener", () => {
  it.live("serves several client domains at once, each on a vchan of its own, and knows who they are", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const peers = new Set<DomId>()
      yield* listen(host, { handler: (vchan) => Effect.andThen(Effect.sync(() => peers.add(vchan.peer)), echo(vchan)) })
      yield* Effect.forEach([4, 5, 6, 7, 0], (domid) =>
        Effect.gen(function*() {
          const context = yield* process(host, domid)
          const clients = yield* Effect.all([dial(context), dial(context), dial(context)], { concurrency: 3 })
          yield* Effect.forEach(clients, ({ vchan }, at) => echoes(vchan, domid * 100 + at), { concurrency: "unbounded" })
        }), { concurrency: "unbounded" })
      assert.deepStrictEqual([...peers].sort(), [0, 4, 5, 6, 7])
    })))

  it.live("lets in who asks beside a request that the store does not let it look at", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const own = yield* process(host, 3)
      const store = Context.get(own, XenStore)
      const [begun, held] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let looks = 0
      const refusal = new XenStoreError({ reason: new StoreRefusal({ operation: "GET_PERMS", path: absolute, code: "ENOMEM" }) })
      const getPermissions = (path: string) => {
        if (path.endsWith("/held")) {
          Deferred.doneUnsafe(begun, Effect.void)
          return Effect.andThen(Deferred.await(held), store.getPermissions(path))
        }
        if (!path.endsWith("/bad")) return store.getPermissions(path)
        looks++
        return Effect.fail(refusal)
      }
      const context = Context.add(own, XenStore, { ...store, getPermissions })
      const [other, client] = [yield* process(host, 5), yield* process(host, 6)]
      yield* as(context)(Listener.make<never>({ path: service, clients: "any", handler: echo }))
      const write = (id: string) => Context.get(other, XenStore).write(`${absolute}/req/any/${id}`, "1")
      // While the listener looks at the first, the others come together.
      yield* write("held")
      yield* Deferred.await(begun)
      yield* write("bad")
      const dialling = yield* Effect.forkChild(dial(client), { startImmediately: true })
      yield* until(Effect.map(store.directory(`${absolute}/req/any`), ({ length }) => length === 3))
      // And closes its request to all but the server, which is an event too.
      yield* Effect.sleep("100 millis")
      yield* Deferred.succeed(held, undefined)
      const { vchan } = yield* Fiber.join(dialling)
      yield* echoes(vchan, 1)
      assert.isAtLeast(looks, 1)
    })))

  it.live("leaves nothing of a connection that its client closed, nor of itself", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { close, store } = yield* listen(host)
      const context = yield* process(host, 5)
      const empty = (yield* tree(store, absolute)).length
      for (let times = 0; times < 5; times++) {
        const { close, vchan } = yield* dial(context)
        yield* echoes(vchan, times)
        yield* close
      }
      yield* until(Effect.map(tree(store, absolute), (names) => names.length <= empty + 2))
      assert.notInclude((yield* tree(store, absolute)).join(), "ring-ref")
      yield* close
      assert.deepStrictEqual(yield* tree(store, absolute), [])
    })))

  it.live("that closes ends its connections", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { close } = yield* listen(host)
      const context = yield* process(host, 5)
      const clients = yield* Effect.all([dial(context), dial(context)], { concurrency: 2 })
      yield* close
      for (const { vchan } of clients) assert.strictEqual((yield* vchan.ended).reason._tag, "PeerGone")
    })))

  it.live("ends a connection with its handler, however the handler ends", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host, {
        handler: (vchan) =>
          Effect.flatMap(Effect.orDie(readExactly(vchan, 1)), ([byte]) => byte === 1 ? Effect.die("the test's") : Effect.void)
      })
      const context = yield* process(host, 5)
      for (const byte of [0, 1]) {
        const { vchan } = yield* dial(context)
        yield* vchan.write(Uint8Array.of(byte))
        assert.strictEqual((yield* vchan.ended).reason._tag, "PeerGone")
      }
    })))

  it.live("tells a client whose process was killed from one whose domain is gone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const ends = yield* Queue.unbounded<string>()
      const { store } = yield* listen(host, {
        handler: (vchan) => Effect.flatMap(vchan.ended, (error) => Effect.asVoid(Queue.offer(ends, `${vchan.peer} ${error.reason._tag}`)))
      })
      yield* dial(yield* process(host, 5))
      yield* dial(yield* process(host, 6))
      yield* host.destroy(5)
      assert.strictEqual(yield* Queue.take(ends), "5 DomainGone")
      yield* host.kill(6)
      assert.strictEqual((yield* Queue.take(ends)).slice(0, 2), "6 ")
      yield* until(Effect.map(tree(store, absolute), (names) => !names.includes("ring-ref")))
    })))

  it.live("takes the place of one that was killed, also for clients that wait", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host)
      const context = yield* process(host, 5)
      const { vchan } = yield* dial(context)
      const stay = yield* process(host, 3)
      const waiting = yield* Effect.forkChild(dial(context))
      yield* host.kill(3)
      assert.include(["PeerGone", "DomainGone"], (yield* vchan.ended).reason._tag)
      void stay
      yield* listen(host)
      const again = yield* dial(context).pipe(Effect.retry({ times: 3 }))
      yield* echoes(again.vchan, 1)
      yield* Effect.exit(Fiber.join(waiting))
    })))

  it.live("whose place another takes, ends its connections and says so", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const first = yield* listen(host)
      const context = yield* process(host, 5)
      const { vchan } = yield* dial(context)
      const second = yield* listen(host)
      assert.strictEqual((yield* first.listener.ended).reason._tag, "Replaced")
      assert.include(["PeerGone", "DomainGone"], (yield* vchan.ended).reason._tag)
      yield* echoes((yield* dial(context)).vchan, 1)
      yield* first.close
      yield* echoes((yield* dial(context)).vchan, 2)
      yield* second.close
      assert.deepStrictEqual(yield* tree(second.store, absolute), [])
    })))

  it.live("whose store is lost says so", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { listener } = yield* listen(host)
      yield* host.kill(3)
      assert.strictEqual((yield* listener.ended).reason._tag, "HostLost")
    })))
})

describe("admission", () => {
  it.live("serves the domains it names; others get ServerAbsent and see nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host, { clients: [5, 0] })
      for (const domid of [5, 0]) yield* echoes((yield* dial(yield* process(host, domid))).vchan, domid)
      const stranger = yield* process(host, 6)
      const error = yield* Effect.flip(dial(stranger, { timeout: "100 millis" }))
      assert.strictEqual(error.reason._tag, "ServerAbsent")
      assert.include(error.message, "admit")
      for (const path of [absolute, `${absolute}/req`, `${absolute}/req/5`, `${absolute}/vchan`, `${absolute}/vchan/5`]) {
        assert.strictEqual((yield* Effect.flip(Context.get(stranger, XenStore).directory(path))).code, "EACCES")
      }
    })))

  it.live("a client may come before its server", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const early = yield* process(host, 5)
      const named = yield* process(host, 6)
      const waiting = yield* Effect.forkChild(Effect.all([dial(early), dial(named, { path: "data/rpc/other" })], { concurrency: 2 }))
      yield* Effect.sleep("50 millis")
      yield* listen(host)
      yield* listen(host, { path: "data/rpc/other", clients: [6] })
      for (const { vchan } of yield* Fiber.join(waiting)) yield* echoes(vchan, 1)
    })))

  it.live("a domain's own service is Refused at once: a listener serves others", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { context } = yield* listen(host)
      const error = yield* Effect.flip(dial(context, { timeout: "1 hour" }))
      assert.strictEqual(error.reason._tag, "Refused")
      assert.include(error.message, "this is domain 3 itself")
    })))

  it.live("no server is ServerAbsent, and an interrupted wait leaves nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const context = yield* process(host, 5)
      const dom0 = yield* process(host, 0)
      for (const each of [context, dom0]) assert.strictEqual(yield* reasonOf(dial(each, { timeout: "50 millis" })), "ServerAbsent")
      yield* process(host, 3)
      const waiting = yield* Effect.forkChild(Effect.scoped(dial(context)))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* tree(Context.get(dom0, XenStore), "/local/domain/3/data"), [])
    })))

  it.live("no server is ServerAbsent at once for those who do not want to wait, and asking leaves nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const context = yield* process(host, 5)
      const dom0 = yield* process(host, 0)
      const absent = "fail"
      for (const each of [context, dom0]) {
        assert.strictEqual(yield* reasonOf(dial(each, { absent, timeout: "1 hour" })), "ServerAbsent")
      }
      yield* listen(host)
      yield* echoes((yield* dial(context, { absent })).vchan, 1)
    })))

  it.live("a domain holds at most maxPerDomain connections, and others are not hurt", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host, { maxPerDomain: 3 })
      const greedy = yield* process(host, 5)
      const held = yield* Effect.all([dial(greedy), dial(greedy), dial(greedy)], { concurrency: 3 })
      assert.strictEqual(yield* reasonOf(dial(greedy)), "Refused")
      yield* echoes((yield* dial(yield* process(host, 6))).vchan, 1)
      yield* held[0].close
      const next = yield* dial(greedy).pipe(Effect.retry({ times: 5, while: (error) => error.reason._tag === "Refused" }))
      yield* echoes(next.vchan, 2)
    })))

  it.live("a client that asks and never connects is dropped", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const client = Context.get(yield* process(host, 5), XenStore)
      const { store } = yield* listen(host, { clients: [5], connectTimeout: "50 millis", maxPerDomain: 1 })
      yield* ask(client, 5, "5/mute")
      yield* until(Effect.map(tree(store, absolute), (names) => names.includes("ring-ref")))
      yield* until(Effect.map(tree(store, absolute), (names) => !names.includes("ring-ref") && !names.includes("mute")))
    })))

  it.live("a request in the server's own name, or with a name that is none, is not answered", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const client = Context.get(yield* process(host, 5), XenStore)
      const { store } = yield* listen(host, { clients: [5] })
      yield* store.write(`${absolute}/req/5/own`, "1")
      yield* ask(client, 5, `5/${"x".repeat(9)}`)
      yield* ask(client, 5, "5/good")
      yield* until(Effect.map(tree(store, absolute), (names) => names.includes("ring-ref")))
      assert.deepStrictEqual(yield* store.directory(`${absolute}/vchan`), ["5"])
      assert.deepStrictEqual(yield* store.directory(`${absolute}/vchan/5`), ["good"])
    })))

  it.live("a domain that removes the place where all may ask ends nobody's connection", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host)
      const context = yield* process(host, 5)
      const { vchan } = yield* dial(context)
      yield* Context.get(yield* process(host, 6), XenStore).remove(`${absolute}/req/any`)
      yield* Effect.sleep("30 millis")
      yield* echoes(vchan, 1)
      yield* echoes((yield* dial(context)).vchan, 2)
    })))

  it.live("sizes over 1 MiB are BadGeometry for the listener that asks for them, and a limit that is no number is a RangeError", () =>
    onHost(Effect.fnUntraced(function*(host) {
      for (const sizes of [{ leftMin: 2 ** 20 + 1 }, { rightMin: -1 }, { leftMin: NaN }]) {
        assert.strictEqual(yield* reasonOf(listen(host, sizes)), "BadGeometry")
      }
      for (const maxPerDomain of [0, -1, 1.5, NaN]) {
        const exit = yield* Effect.exit(listen(host, { maxPerDomain }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, RangeError)
      }
    })))

  it.live("a server that is out of something refuses, and serves again when it has it", () =>
    onHost(
      Effect.fnUntraced(function*(host) {
        const { context } = yield* listen(host)
        const client = yield* process(host, 5)
        const taken = yield* Scope.make()
        for (let at = 0; at < 2; at++) yield* Scope.provide(Context.get(context, EventChannel).bindUnbound(9), taken)
        assert.strictEqual(yield* reasonOf(dial(client)), "Refused")
        yield* Scope.close(taken, Exit.void)
        yield* echoes((yield* dial(client)).vchan, 1)
      }),
      { portsPerDomain: 2 }
    ))

  it.live("a domain that fills the place where all may ask with requests that nobody else may remove keeps nobody out", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host)
      const hostile = Context.get(yield* process(host, 6), XenStore)
      for (let at = 0; at < 60; at++) {
        const key = `${absolute}/req/any/${"x".repeat(34)}${at}`
        yield* Effect.ignore(
          hostile.transaction((store) =>
            Effect.andThen(store.write(key, ""), store.setPermissions(key, [{ domid: 6, access: "n" }, { domid: 3, access: "r" }]))
          )
        )
      }
      const context = yield* process(host, 5)
      const { vchan } = yield* dial(context).pipe(Effect.retry({ times: 10 }))
      yield* echoes(vchan, 1)
    })))

  it.live("200 connections of one domain work at once, though it may hold only 128 watches", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* listen(host, { maxPerDomain: 200, leftMin: 1024, rightMin: 1024 })
      const context = yield* process(host, 5)
      const clients = yield* Effect.all(Array.from({ length: 200 }, () => dial(context, { timeout: "60 seconds" })), { concurrency: 20 })
      yield* Effect.forEach(clients, ({ vchan }, at) => echoes(vchan, at), { concurrency: "unbounded" })
    })))
})

const ask = Effect.fnUntraced(function*(store: Store["Service"], own: DomId, at: string) {
  yield* store.transaction((store) =>
    Effect.andThen(
      store.write(`${absolute}/req/${at}`, "1"),
      store.setPermissions(`${absolute}/req/${at}`, [{ domid: own, access: "n" }, { domid: 3, access: "b" }])
    )
  )
})
