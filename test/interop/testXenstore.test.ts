/**
 * Xen's own test of a XenStore server (tools/tests/xenstore in Xen's sources), as Debian builds it.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, ends } from "../system/World.ts"
import { describeDebian } from "./debian.ts"
import { makeWorld } from "./world.ts"

describeDebian("Xen's test-xenstore on the emulated host", (debian) => {
  const names = [
    "read 1",
    "read 2000",
    "write 1",
    "write 2000",
    "dir",
    "rm node",
    "rm dir",
    "ta empty",
    "ta empty x",
    "ta rmw",
    "ta rmw x",
    "ta err"
  ]

  it.live("has the cases below, and no other", () =>
    Effect.gen(function*() {
      const { dom0 } = yield* makeWorld(debian)
      const list = yield* dom0.startC("test-xenstore", "--list-tests")
      for (const name of names) yield* list.said(name)
      expect(yield* ask(dom0, ["sh", "-c", "test-xenstore --list-tests | wc -l"])).toBe(String(names.length))
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))

  it.live.each(names)("%s, 100 times", (name) =>
    Effect.gen(function*() {
      const { dom0, status } = yield* makeWorld(debian)
      const test = yield* dom0.startC("test-xenstore", "--iterations", "100", "--test", name)
      yield* ends(name, test)
      expect((yield* status).transactions).toBe(0)
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))

  it.live("all of them at random for a second, by two clients at once", () =>
    Effect.gen(function*() {
      const { dom0 } = yield* makeWorld(debian)
      // Both write the same nodes, so that what one finds is not what it wrote: the store has to bear it, and each client to come to its end.
      const clients = [yield* dom0.startC("test-xenstore", "--random", "1"), yield* dom0.startC("test-xenstore", "--random", "1")]
      for (const client of clients) yield* client.exit
      yield* ends("afterwards", yield* dom0.startC("test-xenstore"))
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))
})
