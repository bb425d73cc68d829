import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Socket } from "effect/socket"
import type { XenStoreError } from "../src/XenError.ts"
import * as XenStoreClient from "../src/XenStoreClient.ts"
import { XenStoreTree } from "../src/XenStoreTree.ts"
import * as Wire from "../src/XenStoreWire.ts"
import { answering, clientOf, setup, StoreServer, tag, until } from "./support/storeServer.ts"

const { Operation } = Wire

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
      yield* Fiber.interrupt(watching).pipe(Effect.timeout("60 seconds"))
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
