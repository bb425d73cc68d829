import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { Socket } from "effect/socket"
import type { XenStoreError } from "../src/XenError.ts"
import * as XenStoreClient from "../src/XenStoreClient.ts"
import { XenStoreTree } from "../src/XenStoreTree.ts"
import * as Wire from "../src/XenStoreWire.ts"
import { clientOf, connectTree, StoreServer } from "./support/storeServer.ts"

const { Operation } = Wire

/** A tree with domain 1, and a client and its connection for each domid. */
const setup = Effect.gen(function*() {
  const tree = new XenStoreTree()
  tree.introduce(1)
  const connect = Effect.fnUntraced(function*(domid: number) {
    const server = yield* connectTree(tree, domid)
    return { server, store: yield* clientOf(server) }
  })
  return { tree, connect, ...yield* connect(1) }
})

/** A client of a server that answers everything so. */
const answering = (payload: Uint8Array, type?: number) => {
  const server = new StoreServer((packet, server) => server.send({ ...packet, type: type ?? packet.type, payload }))
  return Effect.map(clientOf(server), (store) => ({ server, store }))
}

/** Waits, for no more than a moment, until something is so. */
const until = (condition: () => boolean) =>
  Effect.gen(function*() {
    while (!condition()) yield* Effect.yieldNow
  }).pipe(Effect.timeout("5 seconds"))

const code = (error: XenStoreError) => error.code
const tag = (error: XenStoreError) => error.reason._tag

describe("a client's operations", () => {
  it.live("read, write, list and remove as the store does", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      yield* store.write("data/a", "ü\0")
      yield* store.makeDirectory("data/b")
      assert.strictEqual(yield* store.read("data/a"), "ü\0")
      assert.deepStrictEqual(yield* store.directory("data"), ["a", "b"])
      assert.deepStrictEqual(yield* store.directory("data/b"), [])
      yield* store.remove("data/a")
      assert.strictEqual(yield* Effect.flip(store.read("data/a")).pipe(Effect.map(code)), "ENOENT")
    }))

  it.live("get and set permissions", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      yield* store.setPermissions("data", [{ domid: 1, access: "n" }, { domid: 0, access: "b" }])
      assert.deepStrictEqual(yield* store.getPermissions("data"), [{ domid: 1, access: "n" }, { domid: 0, access: "b" }])
    }))

  it.live("tell whether a domain lives", () =>
    Effect.gen(function*() {
      const { connect, store } = yield* setup
      const { store: dom0 } = yield* connect(0)
      assert.deepStrictEqual([yield* dom0.isIntroduced(1), yield* dom0.isIntroduced(7)], [true, false])
      assert.strictEqual(code(yield* Effect.flip(store.isIntroduced(1))), "EACCES")
    }))

  it.live("fail with the store's errno, which tells the operation and the path", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      const error = yield* Effect.flip(store.read("/local/domain/0/secret"))
      assert.strictEqual(error.message, "XenStore READ /local/domain/0/secret: EACCES")
    }))

  it.live("refuse a path that is not valid with EINVAL, and send nothing", () =>
    Effect.gen(function*() {
      const { server, store } = yield* setup
      for (const path of ["", "a//b", "a/", "a b", "data\0x", "@releaseDomain", "a".repeat(2049)]) {
        const operations = [store.read(path), store.write(path, ""), store.remove(path), store.directory(path), store.getPermissions(path)]
        for (const operation of operations) assert.strictEqual(code(yield* Effect.flip(Effect.asVoid(operation))), "EINVAL")
        if (!path.startsWith("@")) assert.strictEqual(code(yield* Effect.flip(Stream.runDrain(store.watch(path)))), "EINVAL")
      }
      assert.deepStrictEqual(server.operations, [])
    }))

  it.live("refuse what does not fit in a packet, say what to do, and send nothing", () =>
    Effect.gen(function*() {
      const { connect } = yield* setup
      const { server, store } = yield* connect(0)
      yield* store.write("/x", "v".repeat(4096 - 3))
      const error = yield* Effect.flip(store.write("/x", "v".repeat(4096 - 2)))
      assert.strictEqual(tag(error), "StoreProtocol")
      assert.include(error.message, "4097 bytes")
      assert.include(error.message, "spread the value over several keys")
      assert.strictEqual(server.received.length, 1)
    }))

  it.live("run many at once, and get their own answers in whatever order these come", () =>
    Effect.gen(function*() {
      const { server, store } = yield* setup
      const keys = Array.from({ length: 50 }, (_, index) => `data/${index}`)
      yield* Effect.forEach(keys, (key) => store.write(key, key), { concurrency: "unbounded" })
      server.hold()
      const reading = yield* Effect.forkChild(Effect.forEach(keys, store.read, { concurrency: "unbounded" }))
      yield* until(() => server.received.length === 100)
      server.release((packets) => packets.toReversed())
      assert.deepStrictEqual(yield* Fiber.join(reading), keys)
    }))

  it.live("list a node whose children fill many packets", () =>
    Effect.gen(function*() {
      const { connect } = yield* setup
      const { store } = yield* connect(0)
      const names = Array.from({ length: 500 }, (_, index) => `${"n".repeat(60)}${index}`)
      yield* Effect.forEach(names, (name) => store.write(`/long/${name}`, ""), { concurrency: 50 })
      assert.deepStrictEqual([...yield* store.directory("/long")].sort(), names.toSorted())
    }))

  it.live("list a node from the start again when it changes in between", () =>
    Effect.gen(function*() {
      const { connect, tree } = yield* setup
      const { store } = yield* connect(0)
      const names = Array.from({ length: 100 }, (_, index) => `${"n".repeat(97)}${index}`)
      yield* Effect.forEach(names, (name) => store.write(`/long/${name}`, ""), { concurrency: 50 })
      let parts = 0
      const session = tree.connect(0, (packet) => server.send(packet))
      const server = new StoreServer((packet) => {
        if (packet.type === Operation.DIRECTORY_PART && ++parts === 2) {
          session.handle({ type: Operation.RM, requestId: 0, transactionId: 0, payload: Wire.encodeStrings([`/long/${names[0]}`]) })
        }
        session.handle(packet)
      })
      assert.deepStrictEqual([...yield* (yield* clientOf(server)).directory("/long")].sort(), names.slice(1).sort())
    }))

  it.live("that are interrupted are forgotten: not sent if they were not yet, and their late answer is dropped", () =>
    Effect.gen(function*() {
      const { server, store } = yield* setup
      server.hold()
      const sent = yield* Effect.forkChild(store.read("data"), { startImmediately: true })
      yield* until(() => server.received.length === 1)
      yield* Fiber.interrupt(sent)
      const unsent = yield* Effect.forkChild(store.write("data/x", "v"), { startImmediately: true })
      yield* Fiber.interrupt(unsent)
      server.release()
      assert.strictEqual(yield* store.read("domid"), "1")
      assert.deepStrictEqual(server.operations, [Operation.READ, Operation.READ])
    }))
})

describe("a client's watch", () => {
  it.live("starts with its own path, and tells what changes below it", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      const started = yield* Deferred.make<void>()
      const seen = yield* store.watch("data/a").pipe(
        Stream.tap((path) => path === "data/a" ? Deferred.succeed(started, undefined) : Effect.void),
        Stream.take(3),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* Deferred.await(started)
      yield* store.write("data/a/b", "v")
      yield* store.write("data/other", "v")
      yield* store.write("data/a/c", "v")
      assert.deepStrictEqual(yield* Fiber.join(seen), ["data/a", "data/a/b", "data/a/c"])
    }))

  it.live("is gone from the store when its stream has ended", () =>
    Effect.gen(function*() {
      const { store, tree } = yield* setup
      yield* store.watch("data").pipe(Stream.take(1), Stream.runDrain)
      assert.strictEqual(tree.stats().watches, 0)
    }))

  it.live("is gone from the store when its stream was interrupted, even before it was set", () =>
    Effect.gen(function*() {
      const { server, store, tree } = yield* setup
      const watching = yield* Effect.forkChild(Stream.runDrain(store.watch("data")))
      yield* until(() => tree.stats().watches === 1)
      yield* Fiber.interrupt(watching)
      assert.strictEqual(tree.stats().watches, 0)
      server.hold()
      const early = yield* Effect.forkChild(Stream.runDrain(store.watch("data")))
      yield* until(() => server.received.length === 3)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(early), { startImmediately: true })
      yield* until(() => server.received.length === 4)
      server.release()
      yield* Fiber.join(interrupting)
      assert.strictEqual(tree.stats().watches, 0)
    }))

  it.live("on the same path may be set many times over", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      const heads = yield* Effect.forEach(Array.from({ length: 20 }), () => Stream.runHead(store.watch("data")), {
        concurrency: "unbounded"
      })
      assert.strictEqual(heads.length, 20)
    }))

  it.live("on @releaseDomain tells domain 0 of domains that went", () =>
    Effect.gen(function*() {
      const { connect, tree } = yield* setup
      const { store } = yield* connect(0)
      const seen = yield* store.watch("@releaseDomain").pipe(Stream.take(2), Stream.runCollect, Effect.forkChild)
      yield* until(() => tree.stats().watches === 1)
      yield* Effect.yieldNow
      tree.release(1)
      assert.deepStrictEqual(yield* Fiber.join(seen), ["@releaseDomain", "@releaseDomain"])
    }))

  it.live("fails with the store's errno where it is refused", () =>
    Effect.gen(function*() {
      const { store } = yield* answering(Wire.encodeStrings(["E2BIG"]), Operation.ERROR)
      assert.strictEqual(code(yield* Effect.flip(Stream.runDrain(store.watch("data")))), "E2BIG")
    }))

  it.live("merges a storm of changes while nobody takes them", () =>
    Effect.gen(function*() {
      const { connect, store } = yield* setup
      const { store: dom0 } = yield* connect(0)
      const gate = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const watching = yield* store.watch("data").pipe(
        Stream.tap((path) => Effect.andThen(Effect.sync(() => seen.push(path)), Deferred.await(gate))),
        Stream.takeUntil((path) => path === "data/last"),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* until(() => seen.length === 1)
      for (let round = 0; round < 3; round++) {
        yield* Effect.forEach(Array.from({ length: 1000 }), (_, index) => dom0.write(`/local/domain/1/data/${index}`, "v"), {
          concurrency: 50
        })
      }
      // Twice: the first may be the one too many, of which only "data" is left.
      for (let again = 0; again < 2; again++) yield* dom0.write("/local/domain/1/data/last", "v")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(watching)
      assert.isBelow(seen.length, 300)
      assert.include(seen.slice(1), "data")
    }))

  it.live("fails where the store sends a path that lies elsewhere", () =>
    Effect.gen(function*() {
      const { server, store, tree } = yield* setup
      const watching = yield* Effect.forkChild(Stream.runDrain(store.watch("data")))
      yield* until(() => tree.stats().watches === 1)
      const token = Wire.decodeStrings(server.received[0]?.payload ?? new Uint8Array())?.[1] ?? ""
      server.send({ type: Operation.WATCH_EVENT, requestId: 0, transactionId: 0, payload: Wire.encodeStrings(["database", token]) })
      assert.strictEqual(tag(yield* Effect.flip(Fiber.join(watching))), "StoreProtocol")
    }))
})

describe("a client's transaction", () => {
  it.live("is committed when its body is done", () =>
    Effect.gen(function*() {
      const { store, tree } = yield* setup
      const result = yield* store.transaction(Effect.fnUntraced(function*(inside) {
        yield* inside.write("data/x", "v")
        assert.strictEqual(yield* inside.read("data/x"), "v")
        assert.strictEqual(code(yield* Effect.flip(store.read("data/x"))), "ENOENT")
        return 42
      }))
      assert.deepStrictEqual([result, yield* store.read("data/x"), tree.stats().transactions], [42, "v", 0])
    }))

  it.live("is run again for as long as others are faster", () =>
    Effect.gen(function*() {
      const { store, tree } = yield* setup
      yield* store.write("data/x", "0")
      let runs = 0
      yield* store.transaction(Effect.fnUntraced(function*(inside) {
        const value = yield* inside.read("data/x")
        if (++runs < 4) yield* store.write("data/x", String(runs))
        yield* inside.write("data/y", value)
      }))
      assert.deepStrictEqual([runs, yield* store.read("data/y"), tree.stats().transactions], [4, "3", 0])
    }))

  it.live("loses no update when many run at once", () =>
    Effect.gen(function*() {
      const { connect, store } = yield* setup
      yield* store.write("data/count", "0")
      const clients = yield* Effect.forEach([1, 1, 0], connect)
      const increments = clients.flatMap(({ store }) =>
        Array.from({ length: 3 }, () =>
          store.transaction(Effect.fnUntraced(function*(inside) {
            const count = Number(yield* inside.read("/local/domain/1/data/count"))
            yield* inside.write("/local/domain/1/data/count", String(count + 1))
          })))
      )
      yield* Effect.all(increments, { concurrency: "unbounded" })
      assert.strictEqual(yield* store.read("data/count"), "9")
    }))

  it.live("leaves the store as it was when its body fails or dies, and the failure is the body's", () =>
    Effect.gen(function*() {
      const { store, tree } = yield* setup
      for (const bad of [Effect.fail("mine" as const), Effect.die("mine" as const)]) {
        const exit = yield* Effect.exit(store.transaction((inside) => Effect.andThen(inside.write("data/x", "v"), bad)))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(tree.stats().transactions, 0)
      }
      assert.strictEqual(yield* Effect.flip(store.transaction(() => Effect.fail("mine" as const))), "mine")
      assert.deepStrictEqual(yield* store.directory("data"), [])
    }))

  it.live("leaves the store as it was when its body is interrupted", () =>
    Effect.gen(function*() {
      const { store, tree } = yield* setup
      const running = yield* Effect.forkChild(store.transaction((inside) => Effect.andThen(inside.write("data/x", "v"), Effect.never)))
      yield* until(() => tree.stats().transactions === 1)
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual([tree.stats().transactions, yield* store.directory("data")], [0, []])
    }))

  it.live("that is interrupted while it starts is ended when it has started", () =>
    Effect.gen(function*() {
      const { server, store, tree } = yield* setup
      server.hold()
      const running = yield* Effect.forkChild(store.transaction(() => Effect.void))
      yield* until(() => server.received.length === 1)
      yield* Fiber.interrupt(running)
      server.release()
      yield* store.read("domid")
      yield* until(() => server.operations.includes(Operation.TRANSACTION_END))
      assert.strictEqual(tree.stats().transactions, 0)
    }))

  it.live("that the store refuses to begin fails, and its body does not run", () =>
    Effect.gen(function*() {
      for (
        const [payload, type, expected] of [
          [Wire.encodeStrings(["ENOSPC"]), Operation.ERROR, "StoreRefusal"],
          [Wire.encodeStrings(["0"]), Operation.TRANSACTION_START, "StoreProtocol"],
          [Wire.encodeStrings(["x"]), Operation.TRANSACTION_START, "StoreProtocol"]
        ] as const
      ) {
        const { store } = yield* answering(payload, type)
        assert.strictEqual(tag(yield* Effect.flip(store.transaction(() => Effect.die("ran")))), expected)
      }
    }))
})

describe("when the connection ends", () => {
  it.live("all that waits fails with HostLost, which names the host, and so does all that comes", () =>
    Effect.gen(function*() {
      const { server, store } = yield* setup
      const watching = yield* Effect.forkChild(Stream.runDrain(store.watch("data")))
      const inTransaction = yield* Effect.forkChild(store.transaction(() => Effect.never))
      yield* until(() => server.received.length === 2)
      server.hold()
      const reading = yield* Effect.forkChild(store.read("data"))
      const starting = yield* Effect.forkChild(store.transaction(() => Effect.void))
      yield* until(() => server.received.length === 4)
      server.close()
      const waited = yield* Effect.forEach([watching, reading, starting], (fiber) => Effect.flip(Fiber.join<unknown, XenStoreError>(fiber)))
      const later = [store.read("data"), store.transaction(() => Effect.void), Stream.runDrain(store.watch("data"))]
      for (
        const error of [
          ...waited,
          ...yield* Effect.forEach(later, (effect) => Effect.flip(Effect.asVoid<unknown, XenStoreError, never>(effect)))
        ]
      ) {
        assert.strictEqual(tag(error), "HostLost")
        assert.include(error.message, "/run/test-host")
      }
      yield* Fiber.interrupt(inTransaction)
    }))

  it.live("because the client's own scope did, all that waits fails as well", () =>
    Effect.gen(function*() {
      const server = new StoreServer(() => {})
      const reading = yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* clientOf(server)
        const reading = yield* Effect.forkDetach(store.read("data"))
        yield* until(() => server.received.length === 1)
        return reading
      }))
      assert.strictEqual(tag(yield* Effect.flip(Fiber.join(reading))), "HostLost")
    }))

  it.live("events that came before are still seen", () =>
    Effect.gen(function*() {
      const { server, store, tree } = yield* setup
      const seen: Array<string> = []
      const watching = yield* Effect.forkChild(Stream.runForEach(store.watch("data"), (path) => Effect.sync(() => seen.push(path))))
      yield* until(() => tree.stats().watches === 1)
      server.send({ type: Operation.WATCH_EVENT, requestId: 0, transactionId: 0, payload: Wire.encodeStrings(["data/x", "1"]) })
      server.close()
      yield* Effect.flip(Fiber.join(watching))
      assert.deepStrictEqual(seen, ["data", "data/x"])
    }))

  it.live("a scope that closes does not wait for a store that is stuck longer than a second or so", () =>
    Effect.gen(function*() {
      const { server, store, tree } = yield* setup
      const watching = yield* Effect.forkChild(Stream.runDrain(store.watch("data")))
      yield* until(() => tree.stats().watches === 1)
      server.hold()
      yield* Fiber.interrupt(watching).pipe(Effect.timeout("10 seconds"))
    }))

  it.live("before it began, the failure is HostMissing", () =>
    Effect.gen(function*() {
      const reason = new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ENOENT /run/test-host") })
      const socket = Socket.make({ reader: Effect.fail(new Socket.SocketError({ reason })), writer: Effect.never })
      const error = yield* Effect.flip(XenStoreClient.make({ socket, host: "/run/test-host" }))
      assert.strictEqual(tag(error), "HostMissing")
      assert.include(error.message, "connect ENOENT")
    }))
})

describe("what a store sends is not trusted", () => {
  it.live("a reply of another type, or an error of no known name, fails the operation alone", () =>
    Effect.gen(function*() {
      for (
        const [payload, type] of [
          [Wire.encodeStrings(["OK"]), Operation.WRITE],
          [Wire.encodeStrings(["EWHATEVER"]), Operation.ERROR],
          [new Uint8Array(), Operation.ERROR],
          [new Uint8Array([0xFF]), Operation.READ]
        ] as const
      ) {
        const { store } = yield* answering(payload, type)
        for (let again = 0; again < 2; again++) assert.strictEqual(tag(yield* Effect.flip(store.read("data"))), "StoreProtocol")
      }
    }))

  it.live("names, permissions, generations and yes or no that are none fail the operation", () =>
    Effect.gen(function*() {
      for (const payload of [Wire.encodeText("x"), Wire.encodeStrings(["a/b"]), Wire.encodeStrings(["a", ""]), new Uint8Array([0xFF, 0])]) {
        const { store } = yield* answering(payload)
        const operations = [store.directory("data"), store.getPermissions("data"), store.isIntroduced(1)]
        for (const operation of operations) {
          assert.strictEqual(tag(yield* Effect.flip(Effect.asVoid<unknown, XenStoreError, never>(operation))), "StoreProtocol")
        }
      }
    }))

  it.live("a listing that never ends is given up", () =>
    Effect.gen(function*() {
      const part = Wire.encodeStrings(["7", ...Array.from({ length: 40 }, () => "n".repeat(99))])
      for (const payload of [part, Wire.encodeStrings(["7"]), Wire.encodeText("7"), Wire.encodeText("7\0n")]) {
        const server = new StoreServer((packet, server) =>
          server.send(
            packet.type === Operation.DIRECTORY
              ? { ...packet, type: Operation.ERROR, payload: Wire.encodeStrings(["E2BIG"]) }
              : { ...packet, payload }
          )
        )
        assert.strictEqual(tag(yield* Effect.flip((yield* clientOf(server)).directory("data"))), "StoreProtocol")
      }
    }))

  it.live("replies to requests that nobody made, and events for watches that nobody set, are ignored", () =>
    Effect.gen(function*() {
      const { server, store } = yield* setup
      for (const requestId of [0, 77, 0xFFFF_FFFF]) {
        server.send({ type: Operation.READ, requestId, transactionId: 0, payload: new Uint8Array() })
      }
      server.send({ type: Operation.WATCH_EVENT, requestId: 0, transactionId: 0, payload: Wire.encodeStrings(["data", "1"]) })
      assert.strictEqual(yield* store.read("domid"), "1")
    }))

  it.live("a payload too long, or an event that is none, ends the connection", () =>
    Effect.gen(function*() {
      const long = new Uint8Array(16)
      new DataView(long.buffer).setUint32(12, 4097, true)
      const event = Wire.encode({ type: Operation.WATCH_EVENT, requestId: 0, transactionId: 0, payload: Wire.encodeStrings(["data"]) })
      for (const bytes of [long, event]) {
        const server = new StoreServer((_, server) => server.sendBytes(bytes))
        const store = yield* clientOf(server)
        for (let again = 0; again < 2; again++) assert.strictEqual(tag(yield* Effect.flip(store.read("data"))), "StoreProtocol")
        assert.strictEqual(server.received.length, 1)
      }
    }))

  it.live("replies may come in pieces of any size", () =>
    Effect.gen(function*() {
      const tree = new XenStoreTree()
      const session = tree.connect(0, (packet) => Wire.encode(packet).forEach((byte) => server.sendBytes(Uint8Array.of(byte))))
      const server = new StoreServer((packet) => session.handle(packet))
      const store = yield* clientOf(server)
      yield* store.write("/x", "value")
      assert.strictEqual(yield* store.read("/x"), "value")
    }))
})
