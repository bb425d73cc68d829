/**
 * What a vchan promises, over any backend: the rings and the handshake are the same everywhere, the memory and the events are not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Handshake, Listener, type Vchan } from "@vchan/vchan"
import type { DomId, Xen } from "@vchan/xen"
import { type Context, Deferred, Effect, Exit, Scope, Stream } from "effect"
import { type Backend, domidsOf, enter, type Host, lacks } from "./Backend.ts"

/** The least sizes that a server asks for, and the orders that come of them. */
const sizes = [
  { orders: "10/11", leftMin: 1024, rightMin: 2048 },
  { orders: "11/12", leftMin: 2048, rightMin: 4096 },
  { orders: "12/12", leftMin: 4096, rightMin: 4096 },
  { orders: "16/16", leftMin: 1 << 16, rightMin: 1 << 16 },
  { orders: "20/20", leftMin: 1 << 20, rightMin: 1 << 20 }
]

const orderOf = (ring: number): number => Math.log2(ring)

/** Bytes that differ from place to place. */
const pattern = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, at) => (from + at) * 31 + ((from + at) >>> 8))

const readExactly = Effect.fnUntraced(function*(vchan: Vchan, length: number) {
  const bytes = new Uint8Array(length)
  for (let read = 0; read < length;) read += yield* vchan.readInto(bytes.subarray(read))
  return bytes
})

const reasonOf = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

const echo = (vchan: Vchan): Effect.Effect<void> => Effect.ignore(Stream.runForEach(vchan.stream, vchan.write))

export const vchan = (backend: Backend): void => {
  const ids = domidsOf(backend)
  const path = `/local/domain/${ids.one}/data/conformance`
  const as = (context: Context.Context<Xen>) => Effect.provideContext(context)

  /** A domain that serves and one that connects, each a process; afterwards nothing is held. */
  const between = <A, E>(
    program: (one: Context.Context<Xen>, two: Context.Context<Xen>, host: Host) => Effect.Effect<A, E, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const host = yield* backend.host()
      const one = yield* enter(host, ids.one)
      const two = yield* enter(host, ids.two)
      yield* Effect.scoped(program(one, two, host))
      yield* host.assertReleased
    })

  const serve = (one: Context.Context<Xen>, options?: { readonly leftMin?: number; readonly rightMin?: number }) =>
    Handshake.server({ domid: ids.two, path, ...options }).pipe(as(one))

  const dial = (two: Context.Context<Xen>) => Handshake.client({ domid: ids.one, path }).pipe(as(two))

  /** In a Scope that `close` closes. */
  const leased = Effect.fnUntraced(function*<A, E>(open: Effect.Effect<A, E, Scope.Scope>) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return { it: yield* Scope.provide(open, scope), close: Scope.close(scope, Exit.void) }
  })

  /** Both ends of one connection. */
  const connect = Effect.fnUntraced(function*(
    one: Context.Context<Xen>,
    two: Context.Context<Xen>,
    options?: { readonly leftMin?: number; readonly rightMin?: number }
  ) {
    const offered = yield* serve(one, options)
    const [server, client] = yield* Effect.all([leased(offered.accept), leased(dial(two))], { concurrency: 2 })
    return { offered, server: server.it, client: client.it, closeServer: server.close, closeClient: client.close }
  })

  describe(`Vchan on ${backend.name}`, () => {
    it.live("both sides know their role, their peer and the path", () =>
      between(Effect.fnUntraced(function*(one, two) {
        const { client, server } = yield* connect(one, two)
        assert.deepStrictEqual([server.role, server.peer, server.path], ["server", ids.two, path])
        assert.deepStrictEqual([client.role, client.peer, client.path], ["client", ids.one, path])
        assert.deepStrictEqual([server.readRing, server.writeRing], [client.writeRing, client.readRing])
      })))

    for (const { leftMin, orders, rightMin } of sizes) {
      it.live(`rings of orders ${orders} carry streams and packets, both ways at once`, () =>
        between(Effect.fnUntraced(function*(one, two) {
          const { client, server } = yield* connect(one, two, { leftMin, rightMin })
          assert.strictEqual(`${orderOf(server.readRing)}/${orderOf(server.writeRing)}`, orders)
          const up = pattern(3 * client.writeRing + 7)
          const down = pattern(3 * server.writeRing + 5, 1000)
          const pieces = Array.from({ length: Math.ceil(down.length / 700) }, (_, at) => down.subarray(700 * at, 700 * (at + 1)))
          const [atServer, atClient] = yield* Effect.all(
            [
              readExactly(server, up.length),
              readExactly(client, down.length),
              client.write(up),
              Stream.run(Stream.fromIterable(pieces), server.sink)
            ],
            { concurrency: "unbounded" }
          )
          assert.isTrue(Buffer.from(up).equals(atServer))
          assert.isTrue(Buffer.from(down).equals(atClient))
          for (const [from, to] of [[client, server], [server, client]] as const) {
            const packet = pattern(from.writeRing, 17)
            const received = new Uint8Array(packet.length)
            yield* Effect.all([to.receive(received), Effect.andThen(from.send(packet.subarray(1)), from.send(packet.subarray(0, 1)))], {
              concurrency: 2
            })
            assert.isTrue(Buffer.concat([packet.subarray(1), packet.subarray(0, 1)]).equals(received))
            assert.strictEqual(yield* reasonOf(from.send(new Uint8Array(from.writeRing + 1))), "PacketTooLong")
          }
        })))
    }

    it.live("a thousand questions are answered, each after both sides slept", () =>
      between(Effect.fnUntraced(function*(one, two) {
        const { client, server } = yield* connect(one, two)
        yield* Effect.forkScoped(echo(server))
        for (let round = 0; round < 1000; round++) {
          yield* client.write(Uint8Array.of(round))
          assert.deepStrictEqual(yield* readExactly(client, 1), Uint8Array.of(round))
          if (round % 100 === 0) yield* Effect.sleep("5 millis")
        }
      })))

    it.live("what was written before a close is read to the last byte, then the peer is gone, either way", () =>
      between(Effect.fnUntraced(function*(one, two) {
        for (const closes of ["client", "server"] as const) {
          yield* Effect.scoped(Effect.gen(function*() {
            const { client, closeClient, closeServer, server } = yield* connect(one, two)
            const [from, to, close] = closes === "client" ? [client, server, closeClient] : [server, client, closeServer]
            yield* from.write(pattern(100_000))
            yield* close
            assert.isTrue(Buffer.from(pattern(100_000)).equals(yield* readExactly(to, 100_000)))
            assert.strictEqual(yield* reasonOf(to.readInto(new Uint8Array(1))), "PeerGone")
            assert.strictEqual(yield* reasonOf(to.write(new Uint8Array(1))), "PeerGone")
            assert.strictEqual(yield* reasonOf(from.write(new Uint8Array(1))), "Closed")
          }))
        }
      })))

    it.live("a later client comes to the same rings, and a second one at the same time is Refused", () =>
      between(Effect.fnUntraced(function*(one, two) {
        const offered = yield* serve(one, { leftMin: 1024, rightMin: 1024 })
        for (let times = 0; times < 5; times++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const [server, client] = yield* Effect.all([offered.accept, dial(two)], { concurrency: 2 })
            if (times === 4) {
              const second = Handshake.client({ domid: ids.one, path, timeout: "1 second" }).pipe(as(two))
              assert.strictEqual(yield* reasonOf(Effect.scoped(second)), "Refused")
            }
            yield* client.write(pattern(700, times))
            assert.deepStrictEqual(yield* readExactly(server, 700), pattern(700, times))
            yield* server.write(pattern(900, times))
            assert.deepStrictEqual(yield* readExactly(client, 900), pattern(900, times))
          }))
        }
      })))

    it.live("no server, and a wait that is interrupted, leave nothing", () =>
      between(Effect.fnUntraced(function*(_one, two) {
        const nobody = Handshake.client({ domid: ids.one, path, timeout: "20 millis" }).pipe(as(two))
        assert.strictEqual(yield* reasonOf(Effect.scoped(nobody)), "ServerAbsent")
        yield* Effect.timeoutOption(Effect.scoped(dial(two)), "20 millis")
      })))

    it.live("a connection that is interrupted at any moment of its making leaves nothing, and the next one works", () =>
      between(Effect.fnUntraced(function*(one, two) {
        const offered = yield* serve(one)
        for (let micros = 0; micros < 6000; micros += 250) {
          yield* Effect.timeoutOption(Effect.scoped(Effect.andThen(dial(two), Effect.never)), `${micros} micros`)
        }
        const [server, client] = yield* Effect.all([offered.accept, dial(two)], { concurrency: 2 })
        yield* client.write(pattern(100))
        assert.deepStrictEqual(yield* readExactly(server, 100), pattern(100))
      })))

    it.live.skipIf(lacks(backend, "several domains"))(
      "a listener serves two domains at once, each on a vchan of its own",
      () =>
        between(Effect.fnUntraced(function*(one, two, host) {
          const three = yield* enter(host, ids.three)
          const peers = new Set<DomId>()
          const handler = (vchan: Vchan) => Effect.andThen(Effect.sync(() => peers.add(vchan.peer)), echo(vchan))
          yield* Listener.make({ path: "data/conformance", clients: "any", handler }).pipe(as(one))
          const clients = yield* Effect.forEach(
            [two, three, two],
            (context) => Listener.connect({ domid: ids.one, path: "data/conformance" }).pipe(as(context)),
            { concurrency: "unbounded" }
          )
          yield* Effect.forEach(
            clients,
            Effect.fnUntraced(function*(client, at) {
              yield* client.write(pattern(5000, at))
              assert.deepStrictEqual(yield* readExactly(client, 5000), pattern(5000, at))
            }),
            { concurrency: "unbounded", discard: true }
          )
          assert.deepStrictEqual(peers, new Set([ids.two, ids.three]))
        }))
    )

    it.live.skipIf(lacks(backend, "a domain's end"))(
      "a destroyed domain is DomainGone for its peer, and HostLost for its own processes, after what was written",
      () =>
        between(Effect.fnUntraced(function*(one, two, host) {
          const { client, server } = yield* connect(one, two, { leftMin: 1024, rightMin: 1024 })
          yield* Effect.all([server.write(pattern(5000)), readExactly(client, 5000)], { concurrency: 2 })
          yield* server.write(pattern(10))
          yield* host.destroy(ids.one)
          assert.strictEqual((yield* client.ended).reason._tag, "DomainGone")
          assert.deepStrictEqual(yield* readExactly(client, 10), pattern(10))
          assert.strictEqual((yield* server.ended).reason._tag, "HostLost")
        }))
    )

    it.live("a listener may close its connection from any of its calls, hears of the end once, and then no more", () =>
      between(Effect.fnUntraced(function*(one, two) {
        const offered = yield* serve(one)
        for (const call of ["readable", "writable", "ended"] as const) {
          yield* Effect.scoped(Effect.gen(function*() {
            const [server, client] = yield* Effect.all([leased(offered.accept), leased(dial(two))], { concurrency: 2 })
            const closed = yield* Deferred.make<void>()
            const calls: Array<string> = []
            let closing = false
            const on = (name: string) => () => {
              calls.push(name)
              if (name !== call || closing) return
              closing = true
              Effect.runFork(Effect.ensuring(client.close, Deferred.succeed(closed, undefined)))
            }
            client.it.listenUnsafe({ readable: on("readable"), writable: on("writable"), ended: on("ended") })
            client.it.wantSpaceUnsafe()
            yield* server.it.write(pattern(100))
            if (call === "ended") yield* server.close
            yield* Deferred.await(closed)
            // The end is told in a microtask of its own.
            yield* Effect.yieldNow
            const before = [...calls]
            yield* server.close
            yield* Effect.sleep("20 millis")
            assert.deepStrictEqual(calls, before)
            assert.strictEqual(calls.filter((each) => each === "ended").length, 1)
          }))
        }
      })))
  })
}
