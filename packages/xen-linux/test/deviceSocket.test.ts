import { assert, describe, it } from "@effect/vitest"
import { type XenStore, XenStoreClient, type XenStoreError, XenStoreTree, XenStoreWire } from "@vchan/xen"
import { Effect, Fiber, type Scope, Stream } from "effect"
import * as fs from "node:fs"
import { deviceSocket, maxPayload } from "../src/internal/deviceSocket.ts"
import * as libc from "../src/internal/libc.ts"
import { readNow, socketPair, until } from "./socketPair.ts"
import { temporaryDirectory } from "./testHost.ts"

/** A client over a file that takes the device's place. */
const clientOf = (fd: number): Effect.Effect<XenStore["Service"], XenStoreError, Scope.Scope> =>
  Effect.flatMap(deviceSocket(fd), (socket) => XenStoreClient.make({ socket, host: "/dev/xen/xenbus", maxPayload }))

/** A client, and the kernel with a store: it takes one packet a write, and gives out replies cut into pieces. */
const setup = Effect.gen(function*() {
  const [fd, kernel] = yield* socketPair("packets")
  yield* Effect.addFinalizer(() => Effect.sync(() => fs.closeSync(fd)))
  const writes: Array<Uint8Array> = []
  const session = new XenStoreTree().connect(0, (packet) => {
    const bytes = XenStoreWire.encode(packet)
    for (const part of [bytes.subarray(0, 5), bytes.subarray(5)]) libc.write(kernel, part, part.length)
  })
  const poll = libc.pollReadable(kernel, () => {
    const bytes = readNow(kernel)
    if (bytes === undefined || bytes.length === 0) return poll.close()
    writes.push(bytes)
    for (const packet of new XenStoreWire.Decoder().feed(bytes).packets) session.handle(packet)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => poll.close()))
  return { writes, store: yield* clientOf(fd) }
})

describe("deviceSocket", () => {
  it.live("each request is one write, however many are made at once", () =>
    Effect.gen(function*() {
      const { store, writes } = yield* setup
      const names = Array.from({ length: 200 }, (_, index) => `/x/${index}`)
      yield* Effect.forEach(names, (name) => store.write(name, name), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* Effect.forEach(names, (name) => store.read(name), { concurrency: "unbounded" }), names)
      assert.strictEqual(writes.length, 400)
      for (const bytes of writes) {
        assert.strictEqual(new DataView(bytes.buffer).getUint32(12, true), bytes.length - XenStoreWire.headerSize)
      }
    }))

  it.live("the next request is written when the former's reply is there: the kernel has room for one", () =>
    Effect.gen(function*() {
      const [fd, kernel] = yield* socketPair("packets")
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.closeSync(fd)))
      const store = yield* clientOf(fd)
      const tree = new XenStoreTree().connect(0, (packet) => {
        const bytes = XenStoreWire.encode(packet)
        libc.write(kernel, bytes, bytes.length)
      })
      const written = yield* Effect.forkChild(Effect.forEach(["/a", "/b"], (path) => store.write(path, path), { concurrency: 2 }))
      for (const path of ["/a", "/b"]) {
        let bytes: Uint8Array | undefined
        yield* until(`the request for ${path}`, () => (bytes = readNow(kernel)) !== undefined)
        yield* Effect.sleep("20 millis")
        assert.isUndefined(readNow(kernel))
        for (const packet of new XenStoreWire.Decoder().feed(bytes ?? new Uint8Array()).packets) tree.handle(packet)
      }
      yield* Fiber.join(written)
    }))

  it.live("a packet has at most 4096 bytes, its header counted, and a longer one is not sent", () =>
    Effect.gen(function*() {
      const { store, writes } = yield* setup
      const room = maxPayload - "/x\0".length
      yield* store.write("/x", "v".repeat(room))
      assert.strictEqual(writes.at(-1)?.length, 4096)
      const error = yield* Effect.flip(store.write("/x", "v".repeat(room + 1)))
      assert.strictEqual(error.reason._tag, "StoreProtocol")
      assert.include(error.message, "4081 bytes and at most 4080 fit")
      assert.strictEqual(writes.length, 1)
      assert.strictEqual((yield* store.read("/x")).length, room)
    }))

  it.live("watch events come in between", () =>
    Effect.gen(function*() {
      const { store } = yield* setup
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(store.watch("/x"), (path) => Effect.sync(() => seen.push(path))))
      yield* until("the first event", () => seen.length === 1)
      yield* store.write("/x/y", "1")
      yield* until("the event", () => seen.length === 2)
      assert.deepStrictEqual(seen, ["/x", "/x/y"])
    }))

  it.live("what the kernel does not take fails with its errno, and the connection goes on", () =>
    Effect.gen(function*() {
      const fifo = `${yield* temporaryDirectory}/fifo`
      assert.strictEqual(libc.mkfifo(fifo, 0o600), 0)
      const [fd] = yield* Effect.acquireRelease(
        Effect.sync(() => [fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK), fs.openSync(fifo, "w")] as const),
        (fds) => Effect.sync(() => fds.forEach((fd) => fs.closeSync(fd)))
      )
      const store = yield* clientOf(fd)
      for (const path of ["/x", "/y"]) {
        const error = yield* Effect.flip(Stream.runDrain(store.watch(path)))
        assert.strictEqual(error.reason._tag, "StoreProtocol")
        assert.include(error.message, `WATCH ${path}`)
        assert.include(error.message, "EBADF")
      }
    }))

  it.live("when the other end is gone, what waits and what comes fails with HostLost", () =>
    Effect.gen(function*() {
      const [fd, kernel] = yield* socketPair("packets")
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.closeSync(fd)))
      const store = yield* clientOf(fd)
      const waiting = yield* Effect.forkChild(store.read("domid"))
      yield* until("the request", () => readNow(kernel) !== undefined)
      // An empty packet: a read of nothing is the end.
      libc.write(kernel, new Uint8Array(), 0)
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error.reason._tag, "HostLost")
      assert.include(error.message, "/dev/xen/xenbus")
      assert.strictEqual((yield* Effect.flip(store.read("domid"))).reason._tag, "HostLost")
    }))
})
