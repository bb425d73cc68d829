import { assert, describe, it } from "@effect/vitest"
import { XenStore } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Context, Effect, Layer, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { testHost, untilStatus } from "./testHost.ts"
import { findXenstoreUtils, installLine, type XenstoreUtils } from "./xenstoreUtils.ts"

interface Outcome {
  readonly code: number | null
  readonly output: string
}

/** Starts a tool on one domain's socket; its outcome comes in bounded time. */
const start = (
  found: Extract<XenstoreUtils, { _tag: "Found" }>,
  socket: string,
  tool: string,
  ...words: ReadonlyArray<string>
): Effect.Effect<Effect.Effect<Outcome>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { command, env } = found.run(tool)
        return spawn(command, words, { env: { ...env, XENSTORED_PATH: socket }, stdio: ["ignore", "pipe", "pipe"] })
      }),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    ),
    (child) => outcome(tool, child)
  )

const outcome = (tool: string, child: ChildProcess): Effect.Effect<Outcome> => {
  let output = ""
  const collect = (bytes: Buffer) => {
    output += bytes.toString()
  }
  child.stdout?.on("data", collect)
  child.stderr?.on("data", collect)
  const closed = new Promise<Outcome>((resolve) => child.once("close", (code) => resolve({ code, output })))
  return Effect.promise(() => closed).pipe(
    Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die(new Error(`${tool} did not end; so far: ${output}`)) })
  )
}

const suite = (found: Extract<XenstoreUtils, { _tag: "Found" }>) => {
  const on = (socket: string) => (tool: string, ...words: ReadonlyArray<string>) =>
    Effect.scoped(Effect.flatten(start(found, socket, tool, ...words)))

  it.live("xenstore-write, -read, -list, -exists, -rm and -ls work on dom0's socket", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const run = on(`${directory}/xs.0`)
      assert.deepStrictEqual(yield* run("xenstore-write", "/tool/a", "first", "/tool/b", "second"), { code: 0, output: "" })
      assert.deepStrictEqual(yield* run("xenstore-read", "/tool/a", "/tool/b"), { code: 0, output: "first\nsecond\n" })
      assert.deepStrictEqual(yield* run("xenstore-list", "/tool"), { code: 0, output: "a\nb\n" })
      assert.deepStrictEqual(yield* run("xenstore-exists", "/tool/a"), { code: 0, output: "" })
      assert.deepStrictEqual(yield* run("xenstore-rm", "/tool/a"), { code: 0, output: "" })
      assert.strictEqual((yield* run("xenstore-exists", "/tool/a")).code, 1)
      const listing = yield* run("xenstore-ls", "-f", "/")
      assert.strictEqual(listing.code, 0)
      assert.include(listing.output, "/tool/b = \"second\"")
      assert.include(listing.output, "/local/domain/0")
      const missing = yield* run("xenstore-read", "/tool/none")
      assert.strictEqual(missing.code, 1)
      assert.include(missing.output, "couldn't read path /tool/none")
      yield* untilStatus(directory, "no transaction", (status) => status.transactions === 0)
    }))

  it.live("the tools and the domains of the host see each other's keys", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 3 })), XenStore)
      yield* store.write("data/from-program", "hello")
      const asDomain = on(`${directory}/xs.3`)
      assert.strictEqual((yield* asDomain("xenstore-read", "domid")).output, "3\n")
      assert.strictEqual((yield* asDomain("xenstore-read", "data/from-program")).output, "hello\n")
      yield* on(`${directory}/xs.0`)("xenstore-write", "/local/domain/3/data/from-tool", "back")
      assert.strictEqual(yield* store.read("data/from-tool"), "back")
      const listing = yield* on(`${directory}/xs.0`)("xenstore-ls", "-fp", "/local/domain/3/data")
      assert.include(listing.output, "from-program = \"hello\"")
      assert.include(listing.output, "(n3)")
    }))

  it.live("a guest's socket does not read what another domain keeps to itself, until xenstore-chmod opens it", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* Layer.build(EmulatedXen.layer({ directory, domid: 3 }))
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 4 })), XenStore)
      yield* store.write("data/key", "private")
      const other = on(`${directory}/xs.3`)
      assert.strictEqual((yield* other("xenstore-read", "/local/domain/4/data/key")).code, 1)
      assert.deepStrictEqual(yield* on(`${directory}/xs.4`)("xenstore-chmod", "data/key", "n4", "r3"), { code: 0, output: "" })
      assert.deepStrictEqual(yield* other("xenstore-read", "/local/domain/4/data/key"), { code: 0, output: "private\n" })
    }))

  it.live("xenstore-watch sees its registration and then a change", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 3 })), XenStore)
      const ended = yield* start(found, `${directory}/xs.0`, "xenstore-watch", "-n", "2", "/local/domain/3/data")
      yield* untilStatus(directory, "its watch", (status) => status.watches === 1)
      yield* store.write("data/changed", "now")
      const { code, output } = yield* ended
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(output.trim().split("\n"), ["/local/domain/3/data", "/local/domain/3/data/changed"])
      yield* untilStatus(directory, "no watch", (status) => status.watches === 0)
    }))
}

describe("Debian's xenstore-utils on the emulated host", () => {
  const utils = findXenstoreUtils()
  if (utils._tag === "Found") return suite(utils)
  const name = `needs xenstore-utils (${utils.reason}): ${installLine}`
  if (process.env.CI === "true") it(name, () => assert.fail(name))
  else it.skip(name, () => {})
})
