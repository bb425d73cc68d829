/**
 * The contract of XenStore, for any backend.
 */
import { assert, describe, it } from "@effect/vitest"
import { ownDomid, type Permissions, XenStore } from "@vchan/xen"
import { Context, Effect, Fiber, Latch, Queue, Stream } from "effect"
import { type Backend, domidsOf, enter, lacks, until } from "./Backend.ts"

/** Follows a watch into an array, until the Scope ends. */
const follow = Effect.fnUntraced(function*(store: XenStore["Service"], path: string) {
  const seen: Array<string> = []
  const fiber = yield* Effect.forkScoped(Stream.runForEach(store.watch(path), (event) => Effect.sync(() => void seen.push(event))))
  yield* until(`the first event of ${path}`, () => seen.length > 0)
  return { seen, fiber }
})

const code = <A, R>(effect: Effect.Effect<A, { readonly code: string | undefined }, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.code)

export const xenStore = (backend: Backend): void => {
  const ids = domidsOf(backend)
  const three = Effect.gen(function*() {
    const host = yield* backend.host()
    const contexts = { zero: yield* enter(host, ids.zero), one: yield* enter(host, ids.one), two: yield* enter(host, ids.two) }
    return {
      host,
      contexts,
      zero: Context.get(contexts.zero, XenStore),
      one: Context.get(contexts.one, XenStore),
      two: Context.get(contexts.two, XenStore)
    }
  })

  describe(`XenStore on ${backend.name}`, () => {
    it.live("a domain reads its own domid", () =>
      Effect.gen(function*() {
        const { contexts } = yield* three
        assert.strictEqual(yield* Effect.provideContext(ownDomid, contexts.zero), ids.zero)
        assert.strictEqual(yield* Effect.provideContext(ownDomid, contexts.two), ids.two)
      }))

    it.live("what is written is read, by relative and absolute path, in any characters", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        for (const value of ["plain", "", "na\u00efve \u{1f980}", "a\nb", "x".repeat(2000)]) {
          yield* one.write("data/key", value)
          assert.strictEqual(yield* one.read("data/key"), value)
          assert.strictEqual(yield* one.read(`/local/domain/${ids.one}/data/key`), value)
        }
      }))

    it.live("missing parents are made, children are listed, removal takes all below", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        yield* one.write("data/a/b/c", "1")
        yield* one.makeDirectory("data/a/d")
        assert.deepStrictEqual([...(yield* one.directory("data/a"))].sort(), ["b", "d"])
        assert.strictEqual(yield* one.read("data/a/d"), "")
        yield* one.remove("data/a")
        assert.strictEqual(yield* code(one.read("data/a/b/c")), "ENOENT")
        yield* one.remove("data/a")
      }))

    it.live.skipIf(lacks(backend, "a privileged domain"))("a thousand children are listed whole", () =>
      Effect.gen(function*() {
        const { zero } = yield* three
        const names = Array.from({ length: 900 }, (_, index) => `child-${String(index).padStart(4, "0")}`)
        yield* Effect.forEach(names, (name) => zero.write(`/many/${name}`, ""), { concurrency: 32 })
        assert.deepStrictEqual([...(yield* zero.directory("/many"))].sort(), names)
      }))

    it.live.skipIf(lacks(backend, "a store that is fast"))(
      "thousands of reads at once are all answered, however much they answer",
      () =>
        Effect.gen(function*() {
          const { one } = yield* three
          const value = "v".repeat(1900)
          yield* one.write("data/key", value)
          const values = yield* Effect.all(Array.from({ length: 3000 }, () => one.read("data/key")), { concurrency: "unbounded" })
          assert.deepStrictEqual(new Set(values), new Set([value]))
        })
    )

    it.live("a path that is no path is refused", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        for (const path of ["data//x", "data/x/", "data/\u00e4", "data/x y", `data/${"x".repeat(3000)}`]) {
          assert.strictEqual(yield* code(one.write(path, "")), "EINVAL", path)
        }
      }))

    it.live.skipIf(lacks(backend, "several domains"))(
      "a domain cannot read, write or even miss another's keys",
      () =>
        Effect.gen(function*() {
          const { one, two } = yield* three
          yield* one.write("data/secret", "s")
          assert.strictEqual(yield* code(two.read("/local/domain/1/data/secret")), "EACCES")
          assert.strictEqual(yield* code(two.write("/local/domain/1/data/secret", "x")), "EACCES")
          assert.strictEqual(yield* code(two.read("/local/domain/1/data/nothing")), "EACCES")
          assert.strictEqual(yield* code(two.remove("/local/domain/1/data/secret")), "EACCES")
          assert.strictEqual(yield* code(two.directory("/local/domain/1/data")), "EACCES")
        })
    )

    it.live.skipIf(lacks(backend, "several domains"))("permissions open one key to one domain", () =>
      Effect.gen(function*() {
        const { host, one, two } = yield* three
        const other = Context.get(yield* enter(host, ids.three), XenStore)
        const permissions: Permissions = [{ domid: ids.one, access: "n" }, { domid: ids.two, access: "r" }]
        yield* one.write("data/open", "o")
        yield* one.setPermissions("data/open", permissions)
        assert.deepStrictEqual(yield* one.getPermissions("data/open"), permissions)
        assert.strictEqual(yield* two.read("/local/domain/1/data/open"), "o")
        assert.strictEqual(yield* code(two.write("/local/domain/1/data/open", "x")), "EACCES")
        assert.strictEqual(yield* code(other.read("/local/domain/1/data/open")), "EACCES")
      }))

    it.live.skipIf(lacks(backend, "several domains"))(
      "what a guest creates in another's tree is its own, and the other needs leave to read it",
      () =>
        Effect.gen(function*() {
          const { host, one, two } = yield* three
          yield* one.makeDirectory("data/inbox")
          yield* one.setPermissions("data/inbox", [{ domid: ids.one, access: "n" }, { domid: ids.two, access: "b" }])
          yield* two.write("/local/domain/1/data/inbox/hello", "hi")
          assert.strictEqual((yield* two.getPermissions("/local/domain/1/data/inbox/hello"))[0].domid, 2)
          assert.strictEqual(yield* code(one.read("data/inbox/hello")), "EACCES")
          yield* two.setPermissions("/local/domain/1/data/inbox/hello", [{ domid: ids.two, access: "n" }, { domid: ids.one, access: "b" }])
          assert.strictEqual(yield* one.read("data/inbox/hello"), "hi")
          const { seen } = yield* follow(one, "data/inbox/hello")
          yield* host.destroy(ids.two)
          yield* until("the event of the removal", () => seen.length > 1)
          assert.strictEqual(yield* code(one.read("data/inbox/hello")), "ENOENT")
        })
    )

    it.live("a watch fires at once, then for the node and all below, and for nothing else", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        yield* one.write("data/tree/w", "0")
        const { seen } = yield* follow(one, "data/tree/w")
        assert.deepStrictEqual(seen, ["data/tree/w"])
        yield* one.write("data/tree/wide", "x")
        yield* one.write("data/tree/w/below/deep", "1")
        yield* until("the event below", () => seen.includes("data/tree/w/below/deep"))
        yield* one.remove("data/tree")
        yield* until("the event of the removal above", () => seen.filter((path) => path === "data/tree/w").length > 1)
        assert.isFalse(seen.some((path) => path.startsWith("data/tree/wide")))
      }))

    it.live.skipIf(lacks(backend, "several domains"))("a watch tells nothing of what its owner may not read", () =>
      Effect.gen(function*() {
        const { one, two } = yield* three
        yield* one.write("data/dir/open", "")
        yield* one.setPermissions("data/dir/open", [{ domid: ids.one, access: "n" }, { domid: ids.two, access: "r" }])
        yield* one.write("data/dir/shut", "")
        const { seen } = yield* follow(two, "/local/domain/1/data/dir")
        yield* one.write("data/dir/shut", "1")
        yield* one.write("data/dir/open", "1")
        yield* until("the readable event", () => seen.includes("/local/domain/1/data/dir/open"))
        assert.notInclude(seen, "/local/domain/1/data/dir/shut")
      }))

    it.live.skipIf(lacks(backend, "a store that is fast"))(
      "thousands of changes wait in bounded room for a slow watcher, who still sees the last",
      () =>
        Effect.gen(function*() {
          const { one } = yield* three
          const taken = yield* Queue.unbounded<string>()
          const isOver = yield* Latch.make(false)
          yield* one.write("data/storm", "0")
          yield* Effect.forkScoped(
            Stream.runForEach(one.watch("data/storm"), (path) => Effect.andThen(isOver.await, Queue.offer(taken, path)))
          )
          yield* Effect.forEach(Array.from({ length: 2000 }, (_, index) => index), (index) => one.write("data/storm", String(index + 1)), {
            concurrency: 16
          })
          yield* isOver.open
          yield* Effect.sleep("100 millis")
          const events = yield* Queue.takeAll(taken)
          // The one that it was slow with may be from before the changes.
          assert.isAtLeast(events.length, 2)
          assert.isBelow(events.length, 100)
        })
    )

    it.live("a watch ends with its stream, and may be set again", () =>
      Effect.gen(function*() {
        const { host, one } = yield* three
        for (let round = 0; round < 300; round++) yield* Stream.runDrain(Stream.take(one.watch("data"), 1))
        yield* host.assertReleased
      }))

    it.live.skipIf(lacks(backend, "several domains"))(
      "dom0 hears of domains that come and go, and a guest does not",
      () =>
        Effect.gen(function*() {
          const { host, one, zero } = yield* three
          const comes = yield* follow(zero, "@introduceDomain")
          const goes = yield* follow(zero, "@releaseDomain")
          const guest = yield* follow(one, "@releaseDomain")
          yield* enter(host, 9)
          yield* until("the introduction", () => comes.seen.length > 1)
          assert.isTrue(yield* zero.isIntroduced(9))
          yield* host.destroy(9)
          yield* until("the release", () => goes.seen.length > 1)
          assert.isFalse(yield* zero.isIntroduced(9))
          assert.strictEqual(yield* code(one.isIntroduced(9)), "EACCES")
          assert.strictEqual(guest.seen.length, 1)
        })
    )

    it.live("a transaction is seen by nobody before it is committed, and by everybody at once after", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        yield* one.write("data/t", "")
        const { seen } = yield* follow(one, "data/t")
        yield* one.transaction((store) =>
          Effect.gen(function*() {
            yield* store.write("data/t/a", "1")
            yield* store.write("data/t/b", "2")
            assert.strictEqual(yield* store.read("data/t/a"), "1")
            assert.strictEqual(yield* code(one.read("data/t/a")), "ENOENT")
            assert.deepStrictEqual(seen, ["data/t"])
          })
        )
        assert.strictEqual(yield* one.read("data/t/b"), "2")
        yield* until("both events", () => seen.includes("data/t/a") && seen.includes("data/t/b"))
      }))

    it.live("a transaction that somebody overtook runs again, so that no increment is lost", () =>
      Effect.gen(function*() {
        const { one } = yield* three
        yield* one.write("data/counter", "0")
        let runs = 0
        const increment = one.transaction((store) =>
          Effect.gen(function*() {
            runs++
            const value = Number(yield* store.read("data/counter"))
            yield* Effect.yieldNow
            yield* store.write("data/counter", String(value + 1))
          })
        )
        yield* Effect.all(Array.from({ length: 8 }, () => Effect.repeat(increment, { times: 4 })), { concurrency: "unbounded" })
        assert.strictEqual(yield* one.read("data/counter"), "40")
        assert.isAbove(runs, 40)
      }))

    it.live("a transaction whose body fails or is interrupted leaves the store as it was", () =>
      Effect.gen(function*() {
        const { host, one } = yield* three
        yield* Effect.exit(one.transaction((store) => Effect.andThen(store.write("data/f", "1"), Effect.fail("on purpose"))))
        const fiber = yield* Effect.forkChild(one.transaction((store) => Effect.andThen(store.write("data/f", "2"), Effect.never)))
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* code(one.read("data/f")), "ENOENT")
        yield* host.assertReleased
      }))

    it.live.skipIf(lacks(backend, "a guest's quotas"))(
      "a guest that holds too much is refused: nodes, watches, transactions, sizes",
      () =>
        Effect.gen(function*() {
          const { host, one } = yield* three
          assert.strictEqual(yield* code(one.write("data/large", "x".repeat(3000))), "ENOSPC")
          const nodes = Array.from({ length: 1100 }, (_, index) => one.write(`data/n/${index}`, ""))
          assert.strictEqual(yield* code(Effect.all(nodes, { concurrency: 16 })), "ENOSPC")
          const watch = (index: number) => Effect.andThen(follow(one, `data/n/${index}`), Effect.void)
          yield* Effect.scoped(Effect.all(Array.from({ length: 100 }, (_, index) => watch(index)), { concurrency: 16 }))
          const many = Stream.mergeAll(Array.from({ length: 140 }, (_, index) => one.watch(`data/n/${index}`)), {
            concurrency: "unbounded"
          })
          assert.strictEqual(yield* code(Stream.runDrain(many)), "E2BIG")
          yield* host.assertReleased
        })
    )
  })
}
