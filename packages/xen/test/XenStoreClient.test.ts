import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import * as Wire from "../src/XenStoreWire.ts"
import { answering, clientOf, code, setup, StoreServer, tag, until } from "./support/storeServer.ts"

const { Operation } = Wire

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
      assert.strictEqual(error.message, "XenStore READ /local/domain/0/secret: EACCES: have the owner permit it, see xenstore-ls -p")
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
