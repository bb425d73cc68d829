import { assert, describe, it } from "@effect/vitest"
import { GrantTable, type MemoryXen, XenStore } from "@vchan/xen"
import { Context, Deferred, Effect, Exit, Fiber, Queue, Scope } from "effect"
import { NetAddress } from "effect/net"
import { Socket } from "effect/socket"
import { Listener, VchanSocket, VchanSocketServer } from "../src/index.ts"
import { as, clientDomid, onHost, pattern, process, serverDomid } from "./world.ts"

const service = "data/lines"
const connect = Listener.connect({ domid: serverDomid, path: service, timeout: "30 seconds" })

const listen = (options: Partial<VchanSocketServer.Options> = {}) =>
  VchanSocketServer.make({ path: service, clients: "any", leftMin: 1024, rightMin: 1024, ...options })

/** A socket server whose handlers each hand their socket to the test, and last until it says so. */
const served = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen) {
  const xen = yield* process(host, serverDomid)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const server = yield* listen().pipe(as(xen), Scope.provide(scope))
  const sockets = yield* Queue.unbounded<Served>()
  const running = yield* server.run(Effect.fnUntraced(function*(socket) {
    const done = yield* Deferred.make<void, string>()
    yield* Queue.offer(sockets, { socket, done, peer: (yield* VchanSocketServer.CurrentVchan).peer })
    yield* Deferred.await(done)
  })).pipe(Effect.forkIn(scope))
  return { server, running, next: Queue.take(sockets), close: Scope.close(scope, Exit.void) }
})

interface Served {
  readonly socket: Socket.Socket
  readonly done: Deferred.Deferred<void, string>
  readonly peer: number
}

/** A client's socket with its reader open, in a Scope that `close` closes. */
const dialled = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen) {
  const xen = yield* process(host, clientDomid)
  return yield* opened(yield* as(xen)(VchanSocket.make(connect)))
})

const opened = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { pull } = yield* Scope.provide(socket.reader, scope)
  const { write, writeAll } = yield* socket.writer
  return { socket, pull, write, writeAll, close: Scope.close(scope, Exit.void) }
})

type Pull = Socket.Reader["pull"]

/** Pulls until that many bytes have come, and no more. */
const take = Effect.fnUntraced(function*(pull: Pull, length: number) {
  let bytes = Buffer.alloc(0)
  while (bytes.length < length) {
    const pieces = (yield* pull).map((piece) => typeof piece === "string" ? assert.fail("text came") : piece)
    bytes = Buffer.concat([bytes, ...pieces])
  }
  assert.strictEqual(bytes.length, length)
  return new Uint8Array(bytes)
})

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** How a socket failed: a close's code, or the reason's tag. */
const endOf = <A>(effect: Effect.Effect<A, Socket.SocketError>): Effect.Effect<number | string, A> =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag === "SocketCloseError" ? reason.code : reason._tag)

describe("a vchan as a Socket", () => {
  it.live("carries bytes and text both ways, and the server knows which domain it talks to", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      assert.strictEqual(NetAddress.formatSocketAddress(server.server.address), `/local/domain/${serverDomid}/${service}`)
      const client = yield* dialled(host)
      const { peer, socket } = yield* server.next
      const other = yield* opened(socket)
      assert.strictEqual(peer, clientDomid)
      yield* client.writeAll(["gr\u00fc\u00df ", new Uint8Array([100, 105, 114])])
      assert.strictEqual(text(yield* take(other.pull, 10)), "gr\u00fc\u00df dir")
      const big = pattern(300_000)
      yield* Effect.forkChild(other.write(big))
      assert.deepStrictEqual(yield* take(client.pull, big.length), big)
    })))

  it.live("a write waits for its reader", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      const writing = yield* Effect.forkChild(client.write(new Uint8Array(50_000)))
      yield* other.pull
      assert.isUndefined(writing.pollUnsafe())
      yield* Effect.raceFirst(Effect.forever(other.pull), Fiber.join(writing))
    })))

  it.live("an interrupted write is written to its end, and spoils no later one", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      const bytes = pattern(50_000)
      const writing = yield* Effect.forkChild(client.write(bytes), { startImmediately: true })
      yield* Fiber.interrupt(writing)
      const later = yield* Effect.forkChild(client.write("end"), { startImmediately: true })
      const came = yield* take(other.pull, bytes.length + 3)
      yield* Fiber.join(later)
      assert.deepStrictEqual(came.subarray(0, bytes.length), bytes)
      assert.strictEqual(text(came.subarray(bytes.length)), "end")
    })))

  it.live("an interrupted pull loses nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      const waiting = yield* Effect.forkChild(other.pull, { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      yield* client.write("all of it")
      assert.strictEqual(text(yield* take(other.pull, 9)), "all of it")
    })))

  it.live("a peer that closes has been read to its last byte, and ends with 1000", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      yield* other.write("last words")
      yield* other.close
      assert.strictEqual(text(yield* take(client.pull, 10)), "last words")
      assert.strictEqual(yield* endOf(client.pull), 1000)
      assert.strictEqual(yield* endOf(client.pull), 1000)
      assert.strictEqual(yield* endOf(client.write("late")), "SocketWriteError")
    })))

  it.live("a close event ends this side with its code, and the other with 1000", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      const waiting = yield* Effect.forkChild(endOf(client.pull), { startImmediately: true })
      yield* client.write(new Socket.CloseEvent(4000, "enough"))
      assert.strictEqual(yield* Fiber.join(waiting), 4000)
      assert.strictEqual(yield* endOf(other.pull), 1000)
    })))

  it.live("a pull that waits when its reader is let go of fails with 1006", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      const waiting = yield* Effect.forkChild(Effect.all([client.pull, other.pull].map(endOf), { concurrency: 2 }))
      yield* Effect.all([client.close, other.close])
      assert.include(yield* Fiber.join(waiting), 1006)
    })))

  it.live("a domain that vanishes ends with 1006", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      const other = yield* opened((yield* server.next).socket)
      yield* host.destroy(clientDomid)
      assert.strictEqual(yield* endOf(other.pull), 1006)
      assert.strictEqual(yield* endOf(client.pull), "SocketReadError")
    })))

  it.live("a peer that breaks the ring ends with a read error that tells what it did", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const xen = yield* process(host, clientDomid)
      const vchan = yield* as(xen)(connect)
      const { socket } = yield* server.next
      const reference = Number(yield* Context.get(xen, XenStore).read(`${vchan.path}/ring-ref`))
      const { buffer } = yield* Context.get(xen, GrantTable).map({ domid: serverDomid, references: [reference], writable: true })
      // What the client claims to have written: more than the ring holds.
      new DataView(buffer).setUint32(4, 0x1000_0000, true)
      const { reason } = yield* Effect.flip((yield* opened(socket)).pull)
      assert.strictEqual(reason._tag, "SocketReadError")
      assert.include(String(reason._tag === "SocketReadError" ? reason.cause : ""), "broke the ring's rules")
    })))

  it.live("where nobody serves the reader fails, and tells what to do", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const xen = yield* process(host, clientDomid)
      const socket = yield* as(xen)(VchanSocket.make(Listener.connect({ domid: serverDomid, path: service, timeout: "1 second" })))
      const { reason } = yield* Effect.flip(Effect.scoped(socket.reader))
      assert.strictEqual(reason._tag, "SocketOpenError")
      if (reason._tag !== "SocketOpenError") return
      assert.strictEqual(reason.kind, "Timeout")
      assert.include(String(reason.cause), "is it running, and does it admit this domain, 5?")
    })))

  it.live("a write waits for a connection, and the next reader connects again", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const xen = yield* process(host, clientDomid)
      const socket = yield* as(xen)(VchanSocket.make(connect))
      for (const word of ["one", "two"]) {
        const { write } = yield* socket.writer
        const writing = yield* Effect.forkChild(write(word), { startImmediately: true })
        assert.isUndefined(writing.pollUnsafe())
        const client = yield* opened(socket)
        yield* Fiber.join(writing)
        const other = yield* opened((yield* server.next).socket)
        assert.strictEqual(text(yield* take(other.pull, 3)), word)
        yield* client.close
        assert.strictEqual(yield* endOf(other.pull), 1000)
      }
    })))
})

describe("a listener as a SocketServer", () => {
  it.live("a handler that fails ends its own connection alone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const [one, two] = yield* Effect.all([dialled(host), dialled(host)])
      const first = yield* server.next
      const second = yield* server.next
      yield* Deferred.fail(first.done, "a bug")
      const ended = yield* Effect.raceFirst(Effect.as(endOf(one.pull), one), Effect.as(endOf(two.pull), two))
      const other = yield* opened(second.socket)
      yield* (ended === one ? two : one).write("on")
      assert.strictEqual(text(yield* take(other.pull, 2)), "on")
    })))

  it.live("what interrupts run ends its connections, and the next run serves those who come then", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      yield* server.next
      yield* Fiber.interrupt(server.running)
      assert.strictEqual(yield* endOf(client.pull), 1000)
      const late = yield* dialled(host)
      yield* Effect.forkChild(server.server.run((socket) => Effect.scoped(Effect.flatMap(opened(socket), ({ write }) => write("hi")))))
      assert.strictEqual(text(yield* take(late.pull, 2)), "hi")
    })))

  it.live("a client that leaves before it is served is let go of", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      yield* Fiber.interrupt(server.running)
      for (let left = 0; left < 40; left++) {
        const client = yield* dialled(host)
        yield* client.close
      }
    })))

  it.live("run fails when no more clients can come", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      yield* host.kill(serverDomid)
      const exit = yield* Fiber.await(server.running)
      assert.include(JSON.stringify(exit), "SocketServerUnknownError")
    })))

  it.live("a closed server has let go of everything", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const server = yield* served(host)
      const client = yield* dialled(host)
      yield* server.next
      yield* server.close
      assert.strictEqual(yield* endOf(client.pull), 1000)
    })))
})
