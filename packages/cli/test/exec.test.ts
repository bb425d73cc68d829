import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { HostControl } from "@vchan/xen-linux"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { temporaryDirectory, testHost } from "../../xen-linux/test/testHost.ts"
import { start } from "./command.ts"

const bounded = Effect.timeout("100 seconds")

/** Where the library is kept for those tests that do not look at its making. */
const kept = { XDG_CACHE_HOME: fileURLToPath(new URL("../../../node_modules/.cache", import.meta.url)) }

const exec = (directory: string, ...command: ReadonlyArray<string>) =>
  start(directory, ["host", "exec", "--domid", "9", "--", ...command], undefined, kept)

const hasCompiler = spawnSync("cc", ["--version"]).status === 0

describe("vchan host exec", () => {
  it.live("says in one line that there is no compiler, and what brings one", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const cache = yield* temporaryDirectory
      const command = yield* start(directory, ["host", "exec", "--", "true"], undefined, { XDG_CACHE_HOME: cache, CC: "no-such-compiler" })
      const { code, stderr } = yield* command.outcome
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: "vchan: no library to join C programs with: it is built with a C compiler, and there is no 'no-such-compiler': "
          + "sudo apt-get install gcc libc6-dev\n"
      })
      expect(fs.readdirSync(`${cache}/vchan`)).toEqual([])
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  if (!hasCompiler) {
    const reason = "needs a C compiler: sudo apt-get update && sudo apt-get install gcc libc6-dev"
    if (process.env.CI === "true") it(reason, () => expect.fail(reason))
    else {
      console.warn(`skipped: vchan host exec: ${reason}`)
      it.skip(reason, () => {})
    }
    return
  }

  it.live("builds its library once, and names host, domain and store to the program", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const cache = yield* temporaryDirectory
      const tell = ["--", "sh", "-c", "echo $VCHAN_HOST $VCHAN_DOMID $XENSTORED_PATH; echo $LD_PRELOAD"]
      const first = yield* start("/dev/null", ["host", "--directory", directory, "exec", "--domid", "9", ...tell], undefined, {
        XDG_CACHE_HOME: cache
      })
      const built = yield* first.outcome
      const [library] = fs.readdirSync(`${cache}/vchan`)
      expect(built).toEqual({ code: 0, stdout: `${directory} 9 ${directory}/xs.9\n${cache}/vchan/${library}\n`, stderr: "" })
      const second = yield* start("/dev/null", ["host", "exec", "--directory", directory, "--domid", "9", ...tell], undefined, {
        XDG_CACHE_HOME: cache,
        CC: "no-such-compiler"
      })
      expect(yield* second.outcome).toEqual(built)
      expect((yield* HostControl.status({ directory })).domains).toEqual([0])
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("ends with the program's exit code", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const command = yield* exec(directory, "sh", "-c", "exit 7")
      expect(yield* command.outcome).toEqual({ code: 7, stdout: "", stderr: "" })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("ends by the signal that ended the program", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const command = yield* exec(directory, "sh", "-c", "kill -TERM $$")
      expect(yield* Effect.flip(command.outcome)).toMatchObject({ cause: { message: expect.stringContaining("SIGTERM") } })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live.each(["SIGINT", "SIGTERM"] as const)(
    "passes %s on, and waits for what the program makes of it",
    (signal) =>
      Effect.gen(function*() {
        const { directory } = yield* testHost()
        const program = `trap "echo heard; exit 3" ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`
        const command = yield* exec(directory, "sh", "-c", program)
        yield* command.printed("ready")
        yield* command.signal(signal)
        expect(yield* command.outcome).toEqual({ code: 3, stdout: "ready\nheard\n", stderr: "" })
      }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer))
  )

  it.live("kills the program when its domain is destroyed", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const command = yield* exec(directory, "sh", "-c", "echo ready; exec sleep 30")
      yield* command.printed("ready")
      yield* HostControl.destroy({ directory, domid: 9 })
      expect(yield* Effect.flip(command.outcome)).toMatchObject({ cause: { message: expect.stringContaining("SIGKILL") } })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("says in one line that there is no such program, and that there is no host", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const missing = yield* exec(directory, "/no/such/program")
      expect(yield* missing.outcome).toMatchObject({
        code: 1,
        stderr: "vchan: cannot run /no/such/program: spawn /no/such/program ENOENT\n"
      })
      const nowhere = yield* (yield* exec("/no/such/host", "true")).outcome
      expect(nowhere.code).toBe(1)
      expect(nowhere.stderr).toMatch(/^vchan: no host at \/no\/such\/host: .*\n$/)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))
})
