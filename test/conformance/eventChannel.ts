/**
 * The contract of EventChannel, for any backend.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventChannel, type Port } from "@vchan/xen"
import { Context, Deferred, Effect, Exit, Scope } from "effect"
import { type Backend, domidsOf, enter, lacks, until } from "./Backend.ts"

/** Counts how often a port's owner was asked to look. */
const counting = (port: Port): { readonly port: Port; looks: number } => {
  const count = { port, looks: 0 }
  port.listenUnsafe({ look: () => (count.looks++, false), arm: () => false })
  return count
}

/** Time enough for an event that must not come. */
const aWhile = Effect.sleep("50 millis")

export const eventChannel = (backend: Backend): void => {
  const ids = domidsOf(backend)
  const pair = Effect.gen(function*() {
    const host = yield* backend.host()
    return {
      host,
      one: Context.get(yield* enter(host, ids.one), EventChannel),
      two: Context.get(yield* enter(host, ids.two), EventChannel)
    }
  })

  describe(`EventChannel on ${backend.name}`, () => {
    it.live("an event wakes the other side, both ways", () =>
      Effect.gen(function*() {
        const { one, two } = yield* pair
        const server = yield* one.bindUnbound(ids.two)
        const client = yield* two.bindInterdomain(ids.one, server.port)
        const atServer = counting(server)
        const atClient = counting(client)
        yield* until("the pending event", () => atClient.looks > 0)
        for (let round = 0; round < 50; round++) {
          const [s, c] = [atServer.looks, atClient.looks]
          client.notifyUnsafe()
          yield* until(`event ${round} at the server`, () => atServer.looks > s)
          server.notifyUnsafe()
          yield* until(`event ${round} at the client`, () => atClient.looks > c)
        }
      }))

    it.live("a port bound between domains starts with an event pending", () =>
      Effect.gen(function*() {
        const { one, two } = yield* pair
        const server = yield* one.bindUnbound(ids.two)
        const client = yield* two.bindInterdomain(ids.one, server.port)
        yield* aWhile
        const count = counting(client)
        yield* until("the pending event", () => count.looks > 0)
      }))

    it.live("an event that came before the listener is not lost", () =>
      Effect.gen(function*() {
        const { one, two } = yield* pair
        const server = yield* one.bindUnbound(ids.two)
        const client = yield* two.bindInterdomain(ids.one, server.port)
        client.notifyUnsafe()
        yield* aWhile
        const count = counting(server)
        yield* until("the event", () => count.looks > 0)
      }))

    it.live("an event on an unbound port is dropped", () =>
      Effect.gen(function*() {
        const { one } = yield* pair
        const port = yield* one.bindUnbound(ids.two)
        const count = counting(port)
        port.notifyUnsafe()
        yield* aWhile
        assert.strictEqual(count.looks, 0)
      }))

    it.live.skipIf(lacks(backend, "several domains"))("a port is for the domain it was made for, once", () =>
      Effect.gen(function*() {
        const { host, one, two } = yield* pair
        const three = Context.get(yield* enter(host, ids.three), EventChannel)
        const server = yield* one.bindUnbound(ids.two)
        const stranger = yield* Effect.flip(three.bindInterdomain(ids.one, server.port))
        assert.strictEqual(stranger.reason._tag, "NoSuchPort")
        yield* two.bindInterdomain(ids.one, server.port)
        const second = yield* Effect.flip(two.bindInterdomain(ids.one, server.port))
        assert.strictEqual(second.reason._tag, "NoSuchPort")
        assert.include(second.message, `port ${server.port}`)
      }))

    it.live("a port that nobody made is refused", () =>
      Effect.gen(function*() {
        const { two } = yield* pair
        for (const port of [0, 1, 0xffffffff]) {
          const error = yield* Effect.flip(two.bindInterdomain(ids.one, port))
          assert.strictEqual(error.reason._tag, "NoSuchPort")
        }
      }))

    it.live.skipIf(lacks(backend, "several domains"))(
      "when its other end is unbound, a port waits for the same domain again",
      () =>
        Effect.gen(function*() {
          const { host, one, two } = yield* pair
          const three = Context.get(yield* enter(host, ids.three), EventChannel)
          const server = yield* one.bindUnbound(ids.two)
          for (let round = 0; round < 3; round++) {
            yield* Effect.scoped(two.bindInterdomain(ids.one, server.port))
            const error = yield* Effect.flip(three.bindInterdomain(ids.one, server.port))
            assert.strictEqual(error.reason._tag, "NoSuchPort")
          }
          const client = yield* two.bindInterdomain(ids.one, server.port)
          const count = counting(server)
          client.notifyUnsafe()
          yield* until("the event", () => count.looks > 0)
        })
    )

    it.live("a listener is not called after its port is unbound", () =>
      Effect.gen(function*() {
        const { one, two } = yield* pair
        const server = yield* one.bindUnbound(ids.two)
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(two.bindInterdomain(ids.one, server.port), scope)
        const count = counting(client)
        yield* until("the pending event", () => count.looks > 0)
        server.notifyUnsafe()
        client.expectUnsafe()
        yield* Scope.close(scope, Exit.void)
        const closed = count.looks
        server.notifyUnsafe()
        client.expectUnsafe()
        client.notifyUnsafe()
        yield* aWhile
        assert.strictEqual(count.looks, closed)
      }))

    it.live("a listener that comes after its port is unbound is not called", () =>
      Effect.gen(function*() {
        const { one } = yield* pair
        const count = counting(yield* Effect.scoped(one.bindUnbound(ids.two)))
        count.port.expectUnsafe()
        yield* aWhile
        assert.strictEqual(count.looks, 0)
      }))

    it.live("a listener may end its own port and others, whatever it is called for, and those that stay go on", () =>
      Effect.gen(function*() {
        const { one } = yield* pair
        for (const call of ["look", "arm"] as const) {
          for (const found of [false, true]) {
            const scopes = yield* Effect.all([Scope.make(), Scope.make(), Scope.make()])
            const [before, ending, after] = yield* Effect.all([
              Scope.provide(one.bindUnbound(ids.two), scopes[0]),
              Scope.provide(one.bindUnbound(ids.two), scopes[1]),
              Scope.provide(one.bindUnbound(ids.two), scopes[2])
            ])
            const stays = counting(yield* one.bindUnbound(ids.two))
            const ended = yield* Deferred.make<void>()
            const end = (): boolean => {
              for (const scope of scopes) Effect.runFork(Scope.close(scope, Exit.void))
              Deferred.doneUnsafe(ended, Effect.void)
              return found
            }
            const others = [counting(before), counting(after)]
            ending.listenUnsafe({ look: call === "look" ? end : () => false, arm: call === "arm" ? end : () => false })
            for (const port of [before, ending, after]) port.expectUnsafe()
            yield* Deferred.await(ended)
            const looks = others.map((other) => other.looks)
            yield* aWhile
            assert.deepStrictEqual(others.map((other) => other.looks), looks)
            stays.port.expectUnsafe()
            yield* until("a look at the port that stays", () => stays.looks > 0)
          }
        }
      }))

    it.live("an answer expected while a port is armed keeps it awake", () =>
      Effect.gen(function*() {
        const { one } = yield* pair
        const port = yield* one.bindUnbound(ids.two)
        let arms = 0
        port.listenUnsafe({
          look: () => false,
          arm: () => {
            if (++arms === 1) port.expectUnsafe()
            return false
          }
        })
        port.expectUnsafe()
        yield* until("the port armed again", () => arms === 2)
      }))

    it.live("a listener looks for as long as it finds work, then arms, then sleeps", () =>
      Effect.gen(function*() {
        const { one } = yield* pair
        const port = yield* one.bindUnbound(ids.two)
        const calls: Array<string> = []
        let work = 3
        let late = true
        port.listenUnsafe({
          look: () => {
            calls.push("look")
            return work-- > 0
          },
          arm: () => {
            calls.push("arm")
            if (!late) return false
            late = false
            work = 1
            return true
          }
        })
        port.expectUnsafe()
        yield* until("both arms", () => calls.filter((call) => call === "arm").length === 2)
        yield* aWhile
        const count = calls.length
        yield* aWhile
        assert.strictEqual(calls.length, count)
        assert.strictEqual(calls.at(-1), "arm")
        assert.isAtLeast(calls.indexOf("arm"), 4)
      }))

    it.live.skipIf(lacks(backend, "a limit on ports"))(
      "the limit on ports is an error that names it, and closed ports count no more",
      () =>
        Effect.gen(function*() {
          const host = yield* backend.host({ portsPerDomain: 2 })
          const one = Context.get(yield* enter(host, ids.one), EventChannel)
          for (let round = 0; round < 3; round++) {
            const error = yield* Effect.scoped(Effect.gen(function*() {
              yield* one.bindUnbound(ids.two)
              yield* one.bindUnbound(ids.two)
              return yield* Effect.flip(one.bindUnbound(ids.two))
            }))
            assert.strictEqual(error.reason._tag, "PortsExhausted")
            assert.include(error.message, "2 event-channel ports")
          }
          yield* host.assertReleased
        })
    )
  })
}
