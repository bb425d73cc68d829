import { assert, describe, it } from "@effect/vitest"
import { type DomId, type MemoryXen, XenStore } from "@vchan/xen"
import { Context, Effect, Exit, Scope } from "effect"
import { Listener } from "../src/index.ts"
import { as, onHost, process } from "./world.ts"

const index = "data/rpc-for"

const serve = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen, name: string, clients: "any" | ReadonlyArray<DomId>) {
  const context = yield* process(host, 3)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const handler = () => Effect.never
  yield* Scope.provide(as(context)(Listener.make<never>({ path: `data/rpc/${name}`, index, clients, handler })), scope)
  return { store: Context.get(context, XenStore), close: Scope.close(scope, Exit.void) }
})

const seenBy = (host: MemoryXen.MemoryXen, domid: DomId) =>
  Effect.scoped(Effect.flatMap(process(host, domid), (context) => as(context)(Listener.announced({ domid: 3, index }))))

describe("announced services", () => {
  it.live("are seen by those who may connect, and by nobody else", () =>
    onHost(Effect.fnUntraced(function*(host) {
      for (const domid of [0, 5, 6, 7]) yield* process(host, domid)
      yield* serve(host, "clock", "any")
      yield* serve(host, "echo", [5, 0])
      yield* serve(host, "store", [5, 6])
      assert.deepStrictEqual(yield* seenBy(host, 5), ["clock", "echo", "store"])
      assert.deepStrictEqual(yield* seenBy(host, 6), ["clock", "store"])
      assert.deepStrictEqual(yield* seenBy(host, 7), ["clock"])
      assert.deepStrictEqual(yield* seenBy(host, 0), ["clock", "echo"])
      const store = Context.get(yield* process(host, 7), XenStore)
      for (const path of ["", "/5", "/5/echo", "/6"]) {
        assert.strictEqual((yield* Effect.flip(store.directory(`/local/domain/3/${index}${path}`))).code, "EACCES")
      }
      assert.strictEqual((yield* Effect.flip(store.write(`/local/domain/3/${index}/any/mine`, ""))).code, "EACCES")
    })))

  it.live("go with their listener, and leave nothing once the last has gone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* process(host, 5)
      const one = yield* serve(host, "echo", [5])
      const two = yield* serve(host, "store", "any")
      yield* one.close
      assert.deepStrictEqual(yield* seenBy(host, 5), ["store"])
      yield* two.close
      assert.deepStrictEqual(yield* seenBy(host, 5), [])
      assert.strictEqual((yield* Effect.flip(two.store.directory(index))).code, "ENOENT")
    })))

  it.live("of a listener that was killed are taken over by its successor, also those for domains that it does not admit", () =>
    onHost(Effect.fnUntraced(function*(host) {
      for (const domid of [5, 6]) yield* process(host, domid)
      yield* serve(host, "echo", [5, 6])
      // What a killed process leaves: nothing of it has run to remove its keys.
      const { close } = yield* serve(host, "echo", [6])
      assert.deepStrictEqual(yield* seenBy(host, 5), [])
      assert.deepStrictEqual(yield* seenBy(host, 6), ["echo"])
      yield* close
      assert.deepStrictEqual(yield* seenBy(host, 6), [])
    })))

  it.live("stay when a listener ends whose place another has taken", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* process(host, 5)
      const former = yield* serve(host, "echo", [5])
      yield* serve(host, "echo", [5])
      yield* former.close
      assert.deepStrictEqual(yield* seenBy(host, 5), ["echo"])
    })))

  it.live("are seen by a domain that comes to be later", () =>
    onHost(Effect.fnUntraced(function*(host) {
      yield* serve(host, "echo", [5])
      const five = yield* process(host, 5)
      const look = as(five)(Listener.announced({ domid: 3, index }))
      const seen = yield* Effect.repeat(Effect.delay(look, "20 millis"), { until: (names) => names.length > 0 })
      assert.deepStrictEqual(seen, ["echo"])
    })))

  it.live("of a domain that has none, or is not there, are none", () =>
    onHost(Effect.fnUntraced(function*(host) {
      assert.deepStrictEqual(yield* seenBy(host, 5), [])
      yield* process(host, 3)
      assert.deepStrictEqual(yield* seenBy(host, 5), [])
    })))
})
