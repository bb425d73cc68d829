import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { createHash } from "node:crypto"
import { ordersFault, ringSize, type Vchan, type VchanError } from "../src/index.ts"
import { connected, onHost, pattern, rawPage, readExactly, reasonOf } from "./world.ts"

const KiB = 1024

/** Time for a waiting fiber to come to rest. */
const settle = Effect.sleep("20 millis")

describe("bytes", () => {
  it.live("an Effect-based echo goes both ways, and both sides know who and where the other is", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      assert.deepStrictEqual([client.role, client.peer, server.role, server.peer], ["client", 3, "server", 5])
      assert.deepStrictEqual([client.readRing, client.writeRing, server.readRing, server.writeRing], Array(4).fill(256 * KiB))
      yield* client.write(pattern(100))
      assert.deepStrictEqual(yield* readExactly(server, 100), pattern(100))
      yield* server.write(pattern(50, 7))
      assert.deepStrictEqual(yield* readExactly(client, 50), pattern(50, 7))
    })))

  for (const left of [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]) {
    it.live(`a left ring of order ${left} carries streams and packets beside each right ring that is allowed`, () =>
      onHost(Effect.fnUntraced(function*(host) {
        for (let right = 10; right <= 20; right++) {
          if (ordersFault({ left, right }) !== undefined) continue
          yield* Effect.scoped(Effect.gen(function*() {
            const { client, server } = yield* connected(host, { leftMin: ringSize(left), rightMin: ringSize(right) })
            assert.deepStrictEqual([server.readRing, server.writeRing], [ringSize(left), ringSize(right)])
            for (const [from, to] of [[client, server], [server, client]] as const) {
              const stream = pattern(from.writeRing + 1234, left)
              const [read] = yield* Effect.all([readExactly(to, stream.length), from.write(stream)], { concurrency: 2 })
              assert.isTrue(Buffer.from(read).equals(stream))
              const packet = pattern(from.writeRing, right)
              const whole = new Uint8Array(packet.length)
              yield* Effect.all([to.receive(whole), from.send(packet)], { concurrency: 2 })
              assert.isTrue(Buffer.from(whole).equals(packet))
            }
          }))
        }
      })))
  }

  it.live("both directions at once keep their bytes in order", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 2 * KiB, rightMin: 5 * KiB })
      const total = 400 * KiB
      const send = (vchan: Vchan, from: number) =>
        Effect.gen(function*() {
          for (let sent = 0; sent < total; sent += 1000) yield* vchan.write(pattern(Math.min(1000, total - sent), from + sent))
        })
      const sum = (vchan: Vchan) => Effect.map(readExactly(vchan, total), (bytes) => createHash("sha256").update(bytes).digest("hex"))
      const expected = (from: number) => createHash("sha256").update(pattern(total, from)).digest("hex")
      const [, , fromServer, fromClient] = yield* Effect.all([send(client, 1), send(server, 2), sum(client), sum(server)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([fromServer, fromClient], [expected(2), expected(1)])
    })))

  it.live("a stream emits all that comes and ends when the peer closes", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host)
      yield* Effect.forkChild(Effect.andThen(client.write(pattern(700_000)), closeClient))
      const chunks = yield* Stream.runCollect(server.stream)
      assert.isTrue(Buffer.concat([...chunks]).equals(pattern(700_000)))
    })))

  it.live("a sink writes all that a stream emits, whatever the sizes, and waits for space", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host, { leftMin: 4 * KiB, rightMin: 4 * KiB })
      const sizes = Array.from({ length: 3000 }, (_, at) => at % 500 === 499 ? 40_000 : at * 7 % 150)
      let next = 0
      const buffers = sizes.map((size) => pattern(size, (next += size) - size))
      const sending = Stream.run(Stream.rechunk(Stream.fromIterable(buffers), 700), client.sink)
      yield* Effect.forkChild(Effect.andThen(sending, closeClient))
      const came = yield* Stream.runCollect(server.stream)
      assert.isTrue(Buffer.concat([...came]).equals(pattern(next)))
    })))

  it.live("nothing comes between the buffers of a writeAll that waits, and one that is interrupted lets the next go on", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 4 * KiB, rightMin: 4 * KiB })
      const first = yield* Effect.forkChild(client.writeAll(Array.from({ length: 100 }, () => new Uint8Array(100).fill(1))))
      const second = yield* Effect.forkChild(client.writeAll([new Uint8Array(9).fill(2), new Uint8Array(5000).fill(2)]))
      yield* settle
      assert.deepStrictEqual(yield* readExactly(server, 10_000), new Uint8Array(10_000).fill(1))
      yield* Fiber.join(first)
      yield* Fiber.interrupt(second)
      const rest = server.availableUnsafe()
      yield* client.write(new Uint8Array([3]))
      const bytes = yield* readExactly(server, rest + 1)
      assert.strictEqual(bytes.at(-1), 3)
      assert.isTrue(bytes.subarray(0, rest).every((byte) => byte === 2))
    })))

  it.live("writeAll fails as write does once the peer is gone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host)
      const waiting = yield* Effect.forkChild(server.writeAll(Array.from({ length: 4 }, () => new Uint8Array(200 * KiB))))
      yield* settle
      yield* closeClient
      assert.strictEqual(client.spaceUnsafe(), 0)
      assert.strictEqual(yield* reasonOf(Fiber.join(waiting)), "PeerGone")
      for (const buffers of [[], [new Uint8Array(1)]]) {
        assert.strictEqual(yield* reasonOf(server.writeAll(buffers)), "PeerGone")
      }
    })))

  it.live("empty buffers neither wait nor move anything", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      const empty = new Uint8Array(0)
      yield* client.write(empty)
      yield* client.send(empty)
      yield* client.writeAll([])
      yield* client.writeAll([empty, empty])
      yield* server.receive(empty)
      assert.strictEqual(yield* server.readInto(empty), 0)
      assert.strictEqual(server.availableUnsafe(), 0)
    })))
})

describe("backpressure", () => {
  it.live("write waits for space and goes on as the peer reads", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 1 * KiB })
      const writing = yield* Effect.forkChild(client.write(pattern(5000)))
      yield* settle
      assert.strictEqual(server.availableUnsafe(), server.readRing)
      assert.isUndefined(writing.pollUnsafe())
      assert.deepStrictEqual(yield* readExactly(server, 5000), pattern(5000))
      yield* Fiber.join(writing)
    })))

  it.live("whole buffers of several fibers do not interleave, streams and packets alike", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 1 * KiB })
      const writers = yield* Effect.forkChild(Effect.forEach(
        Array.from({ length: 20 }, (_, at) => at + 1),
        (at) => at % 3 === 0 ? client.send(new Uint8Array(900).fill(at)) : client.write(new Uint8Array(3000).fill(at)),
        { concurrency: "unbounded", discard: true }
      ))
      const bytes = yield* readExactly(server, 6 * 900 + 14 * 3000)
      yield* Fiber.join(writers)
      const runs: Array<number> = []
      for (const byte of bytes) if (runs.at(-1) !== byte) runs.push(byte)
      assert.lengthOf(runs, 20)
    })))

  it.live("writeUnsafe stays out of a waiting write", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 1 * KiB })
      const writing = yield* Effect.forkChild(client.write(new Uint8Array(client.writeRing + 600).fill(1)))
      yield* settle
      server.readUnsafe(new Uint8Array(500), 0, 500)
      assert.strictEqual(client.spaceUnsafe(), 0)
      assert.strictEqual(client.writeUnsafe(Uint8Array.of(2), 0, 1), 0)
      assert.notInclude([...yield* readExactly(server, client.writeRing + 100)], 2)
      yield* Fiber.join(writing)
      assert.strictEqual(client.writeUnsafe(Uint8Array.of(2), 0, 1), 1)
    })))

  it.live("a packet over the ring's size is refused at once, either way", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 1 * KiB })
      assert.strictEqual(yield* reasonOf(client.send(new Uint8Array(client.writeRing + 1))), "PacketTooLong")
      assert.strictEqual(yield* reasonOf(server.receive(new Uint8Array(server.readRing + 1))), "PacketTooLong")
      yield* client.send(pattern(client.writeRing))
      yield* server.receive(new Uint8Array(server.readRing))
    })))
})

describe("interruption", () => {
  it.live("a reader, a packet's reader and a writer let go, and others go on", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { leftMin: 1 * KiB })
      for (const waiting of [server.readInto(new Uint8Array(9)), server.receive(new Uint8Array(9)), Stream.runDrain(server.stream)]) {
        const fiber = yield* Effect.forkChild(Effect.asVoid(waiting))
        yield* settle
        yield* Fiber.interrupt(fiber)
      }
      const first = yield* Effect.forkChild(client.write(new Uint8Array(client.writeRing + 10).fill(1)))
      const second = yield* Effect.forkChild(client.write(new Uint8Array(20).fill(2)))
      yield* settle
      yield* Fiber.interrupt(first)
      const read = yield* readExactly(server, client.writeRing + 20)
      assert.deepStrictEqual([...read.subarray(-20)], Array(20).fill(2))
      yield* Fiber.join(second)
    })))

  it.live("a second reader is a bug of the caller, not of the connection", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      const first = yield* Effect.forkChild(server.readInto(new Uint8Array(9)))
      yield* settle
      const second = yield* Effect.exit(server.readInto(new Uint8Array(9)))
      assert.isTrue(Exit.isFailure(second) && Cause.hasDies(second.cause))
      yield* client.write(pattern(3))
      assert.strictEqual(yield* Fiber.join(first), 3)
    })))

  it.live("a length beyond the buffer, or that is no whole number, is a RangeError and moves nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      assert.throws(() => client.writeUnsafe(new Uint8Array(4), 1, 4), RangeError)
      assert.throws(() => client.readUnsafe(new Uint8Array(4), -1, 2), RangeError)
      assert.strictEqual(server.availableUnsafe(), 0)
      yield* client.write(pattern(9))
      for (const [offset, length] of [[0, NaN], [NaN, 1], [0, 1.5], [0.5, 1], [0, Infinity], [Infinity, 0]] as const) {
        assert.throws(() => client.writeUnsafe(new Uint8Array(4), offset, length), RangeError)
        assert.throws(() => server.readUnsafe(new Uint8Array(4), offset, length), RangeError)
      }
      assert.deepStrictEqual(yield* readExactly(server, 9), pattern(9))
    })))
})

describe("the end", () => {
  it.live("all that was written before a close is read, then each call fails with PeerGone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host)
      yield* client.write(pattern(200_000))
      yield* closeClient
      assert.strictEqual((yield* server.ended).reason._tag, "PeerGone")
      assert.isTrue(Buffer.from(yield* readExactly(server, 200_000)).equals(pattern(200_000)))
      assert.strictEqual(yield* reasonOf(server.readInto(new Uint8Array(1))), "PeerGone")
      assert.strictEqual(yield* reasonOf(server.receive(new Uint8Array(1))), "PeerGone")
      assert.strictEqual(yield* reasonOf(server.write(pattern(1))), "PeerGone")
    })))

  it.live("a packet cut short by the end fails, and its bytes can still be read", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host)
      const receiving = yield* Effect.forkChild(reasonOf(server.receive(new Uint8Array(10))))
      yield* client.write(pattern(6))
      yield* closeClient
      assert.strictEqual(yield* Fiber.join(receiving), "PeerGone")
      assert.deepStrictEqual(yield* readExactly(server, 6), pattern(6))
    })))

  it.live("a server that closes is gone for its client, whatever the client waits for", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeServer, server } = yield* connected(host, { leftMin: 1 * KiB })
      const writing = yield* Effect.forkChild(reasonOf(client.write(new Uint8Array(9000))))
      const reading = yield* Effect.forkChild(reasonOf(readExactly(client, 9)))
      yield* settle
      yield* closeServer
      assert.strictEqual(yield* Fiber.join(writing), "PeerGone")
      assert.strictEqual(yield* Fiber.join(reading), "PeerGone")
      assert.strictEqual(yield* reasonOf(server.readInto(new Uint8Array(1))), "Closed")
      assert.strictEqual((yield* server.ended).reason._tag, "Closed")
    })))

  it.live("kill -9 of either process is PeerGone for the other, which drains first", () =>
    onHost(Effect.fnUntraced(function*(host) {
      for (const victim of ["client", "server"] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const both = yield* connected(host)
          const survivor = both[victim === "client" ? "server" : "client"]
          yield* both[victim].write(pattern(1000))
          yield* host.kill(both[victim].role === "server" ? 3 : 5)
          assert.deepStrictEqual(yield* readExactly(survivor, 1000), pattern(1000))
          assert.strictEqual(yield* reasonOf(readExactly(survivor, 1)), "PeerGone")
        }))
      }
    })))

  it.live("a destroyed server domain is DomainGone for its client, though no live byte changes and no event comes", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      yield* server.write(pattern(77))
      yield* host.destroy(3)
      assert.strictEqual((yield* client.ended).reason._tag, "DomainGone")
      assert.deepStrictEqual(yield* readExactly(client, 77), pattern(77))
      assert.strictEqual(yield* reasonOf(client.readInto(new Uint8Array(1))), "DomainGone")
      assert.strictEqual(yield* reasonOf(client.write(new Uint8Array(1))), "DomainGone")
    })))
})

describe("a hostile peer", () => {
  const lies: ReadonlyArray<readonly [what: string, tell: (view: DataView) => void]> = [
    ["a left.prod beyond the ring", (view) => view.setUint32(4, 0x80000000, true)],
    ["a left.prod that goes back", (view) => view.setUint32(4, 0xFFFFFFFF, true)],
    ["a right.cons ahead of right.prod", (view) => view.setUint32(8, 0x7FFFFFFF, true)],
    ["a live byte of 7", (view) => view.setUint8(20, 7)],
    ["a live byte that waits again", (view) => view.setUint8(20, 2)]
  ]
  for (const [what, tell] of lies) {
    it.live(`that writes ${what} gets RingCorrupt and is sent away`, () =>
      onHost(Effect.fnUntraced(function*(host) {
        const { client, clientProcess, server } = yield* connected(host)
        const { view } = yield* rawPage(clientProcess)
        const reading = yield* Effect.forkChild(reasonOf(readExactly(server, 9)))
        const writing = yield* Effect.forkChild(reasonOf(server.write(new Uint8Array(1 << 19))))
        yield* settle
        // The write rings the server, which looks in a later turn, when the lie is there.
        assert.strictEqual(client.writeUnsafe(Uint8Array.of(1), 0, 1), 1)
        tell(view)
        assert.strictEqual(yield* Fiber.join(reading), "RingCorrupt")
        assert.strictEqual(yield* Fiber.join(writing), "RingCorrupt")
        assert.strictEqual((yield* client.ended).reason._tag, "PeerGone")
      })))
  }

  it.live("orders and grants written after the handshake change nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, clientProcess, server } = yield* connected(host)
      const { view } = yield* rawPage(clientProcess)
      view.setUint16(16, 31, true)
      view.setUint16(18, 10, true)
      view.setUint32(24, 0xFFFFFFFF, true)
      const [read] = yield* Effect.all([readExactly(server, 600_000), client.write(pattern(600_000))], { concurrency: 2 })
      assert.isTrue(Buffer.from(read).equals(pattern(600_000)))
    })))
})

describe("listenUnsafe", () => {
  it.live("offers bytes and space, and the end once, after the last byte", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, closeClient, server } = yield* connected(host, { leftMin: 1 * KiB })
      const seen: Array<number> = []
      const ends: Array<string> = []
      let writable = 0
      const into = new Uint8Array(100)
      server.listenUnsafe({
        readable: () => {
          const count = server.readUnsafe(into, 0, into.length)
          seen.push(...into.subarray(0, count))
        },
        writable: () => writable++,
        ended: (error: VchanError) => ends.push(error.reason._tag)
      })
      yield* client.write(pattern(5000))
      assert.isAbove(server.writeUnsafe(new Uint8Array(1 << 19), 0, 1 << 19), 0)
      assert.strictEqual(server.spaceUnsafe(), 0)
      server.wantSpaceUnsafe()
      yield* settle
      assert.strictEqual(writable, 0)
      yield* readExactly(client, 1000)
      yield* settle
      assert.strictEqual(writable, 1)
      yield* client.write(pattern(900, 5000))
      yield* closeClient
      yield* server.ended
      yield* settle
      assert.deepStrictEqual(Uint8Array.from(seen), pattern(5900))
      assert.deepStrictEqual(ends, ["PeerGone"])
    })))

  it.live("a listener that takes nothing is not called again and again, and is offered the rest when it reads", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host)
      let calls = 0
      let taking = false
      const into = new Uint8Array(10)
      server.listenUnsafe({
        readable: () => {
          calls++
          if (taking) server.readUnsafe(into, 0, 10)
        },
        writable: () => {},
        ended: () => {}
      })
      yield* client.write(pattern(100))
      yield* settle
      yield* settle
      assert.isAtMost(calls, 3)
      taking = true
      server.readUnsafe(into, 0, 10)
      yield* settle
      assert.strictEqual(server.availableUnsafe(), 0)
    })))
})
