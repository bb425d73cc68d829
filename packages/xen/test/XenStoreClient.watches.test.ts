import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import * as Wire from "../src/XenStoreWire.ts"
import { answering, code, setup, tag, until } from "./support/storeServer.ts"

const { Operation } = Wire

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
