import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { VchanRpcTest } from "@vchan/rpc"
import { Effect, Fiber, Layer, Queue, Stream } from "effect"
import { heardHost } from "../echo/processes.ts"
import { Forbidden, Full, KeyValue, NoSuchKey } from "./contract.ts"
import { RightsLive } from "./rights.ts"
import * as Store from "./store.ts"

const as = (caller: number) => VchanRpcTest.makeClient(KeyValue, { caller })

/** One store in memory for all callers of a test. */
const stored = Effect.provide(Layer.merge(Store.layer(":memory:"), RightsLive))

describe("the store", () => {
  it.effect("keeps what a domain writes, for that domain alone", () =>
    Effect.gen(function*() {
      const [zero, five, six] = yield* Effect.all([as(0), as(5), as(6)])
      yield* five.Set({ key: "5/a", value: "one" })
      yield* five.Set({ key: "5/a", value: "two" })
      assert.strictEqual(yield* five.Get({ key: "5/a" }), "two")
      for (const other of [zero, six]) {
        const tries = [
          other.Get({ key: "5/a" }),
          other.Set({ key: "5/a", value: "" }),
          other.Remove({ key: "5/a" }),
          Stream.runHead(other.Watch({ key: "5/", after: 0 }))
        ]
        for (const attempt of tries) assert.instanceOf(yield* Effect.flip<unknown, unknown, never>(attempt), Forbidden)
      }
      yield* five.Remove({ key: "5/a" })
      assert.instanceOf(yield* Effect.flip(five.Get({ key: "5/a" })), NoSuchKey)
    }).pipe(Effect.scoped, stored))

  it.effect("lets everybody read what is shared, and domain 0 write it", () =>
    Effect.gen(function*() {
      const [zero, five] = yield* Effect.all([as(0), as(5)])
      yield* zero.Set({ key: "shared/a", value: "for all" })
      assert.strictEqual(yield* five.Get({ key: "shared/a" }), "for all")
      assert.deepStrictEqual(yield* Effect.flip(five.Set({ key: "shared/a", value: "" })), new Forbidden({ domid: 5, key: "shared/a" }))
    }).pipe(Effect.scoped, stored))

  it.effect("takes no key but its own kind", () =>
    Effect.gen(function*() {
      const five = yield* as(5)
      for (const key of ["", "a", "5", "05/a", "/5/a", "5/~", "5/a\n", "5/\u00e9", "5/%"]) {
        const exit = yield* Effect.exit(five.Set({ key, value: "" }))
        assert.strictEqual(exit._tag, "Failure", key)
      }
    }).pipe(Effect.scoped, stored))

  it.effect("tells a watcher what is there, and then each change, of what it may read", () =>
    Effect.gen(function*() {
      const [five, six] = yield* Effect.all([as(5), as(6)])
      yield* five.Set({ key: "5/b", value: "there" })
      yield* five.Set({ key: "5/a/x", value: "elsewhere" })
      yield* six.Set({ key: "6/a", value: "another's" })
      const seen = yield* Queue.unbounded<string>()
      const watch = (after: number) =>
        Stream.runForEach(five.Watch({ key: "5/b", after }), ({ key, value, version }) => Queue.offer(seen, `${key} ${value} ${version}`))
      const watching = yield* Effect.forkChild(watch(0))
      assert.strictEqual(yield* Queue.take(seen), "5/b there 1")
      yield* five.Remove({ key: "5/b" })
      assert.strictEqual(yield* Queue.take(seen), "5/b null 4")
      yield* five.Set({ key: "5/bc", value: "begins alike" })
      assert.strictEqual(yield* Queue.take(seen), "5/bc begins alike 5")
      yield* Fiber.interrupt(watching)
      yield* Effect.forkChild(watch(4))
      assert.strictEqual(yield* Queue.take(seen), "5/bc begins alike 5")
    }).pipe(Effect.scoped, stored))

  it.effect("lets a domain fill its own share and no more", () =>
    Effect.gen(function*() {
      const [five, six] = yield* Effect.all([as(5), as(6)])
      const keys = Array.from({ length: 1000 }, (_, at) => `5/${at}`)
      yield* Effect.forEach(keys, (key) => five.Set({ key, value: "x" }), { concurrency: 50 })
      assert.instanceOf(yield* Effect.flip(five.Set({ key: "5/", value: "" })), Full)
      yield* five.Set({ key: "5/0", value: "changed" })
      yield* six.Set({ key: "6/0", value: "has room" })
    }).pipe(Effect.scoped, stored))
})

describe("the example", () => {
  const file = (name: string): string => `${import.meta.dirname}/${name}.ts`

  const bounded = <A, E, R>(test: Effect.Effect<A, E, R>) => test.pipe(Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer))

  it.live("shows a watch, and who may do what", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, host } = yield* heardHost
      const demo = yield* host.start("demo", file("demo"))
      yield* hear("dom 5  | shared/motto is share nothing but memory")
      yield* hear("dom 5  | domain 5 may not do that to shared/motto")
      yield* hear("dom 5  | a quiet day")
      yield* hear("dom 6  | domain 6 may not do that to 5/diary")
      yield* hear("dom 5  | shared/motto is gone")
      assert.strictEqual(yield* demo.exitCode, 0)
    }))))

  it.live("a store that is killed has lost nothing when it is back, and its watchers go on", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, host } = yield* heardHost
      const guest = host.start("guest", file("guest"), [`${host.directory}/test.db`], { VCHAN_DOMID: "1" })
      const run = (...words: Array<string>) => host.start("zero", file("client"), ["1", ...words], { VCHAN_DOMID: "0" })
      const first = yield* guest
      yield* host.start("five", file("client"), ["1", "watch", "shared/"], { VCHAN_DOMID: "5" })
      yield* run("set", "shared/a", "before")
      yield* hear("five: shared/a is before")
      yield* first.kill
      yield* guest
      yield* run("set", "shared/b", "after")
      yield* hear("five: shared/b is after")
      yield* run("get", "shared/a")
      yield* hear("zero: before")
      const absent = yield* run("get", "shared/c")
      yield* hear("zero: there is no shared/c")
      assert.strictEqual(yield* absent.exitCode, 1)
    }))))
})
