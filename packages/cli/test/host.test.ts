import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { HostControl } from "@vchan/xen-linux"
import { Effect } from "effect"
import * as fs from "node:fs"
import { temporaryDirectory } from "../../xen-linux/test/testHost.ts"
import { run, start } from "./command.ts"

const bounded = Effect.timeout("100 seconds")

describe("vchan host", () => {
  it.live.each(["SIGINT", "SIGTERM"] as const)("says how to join it, serves, and on %s ends cleanly", (signal) =>
    Effect.gen(function*() {
      const directory = `${yield* temporaryDirectory}/host`
      const host = yield* start("/dev/null", ["host", "--directory", directory])
      yield* host.printed(`VCHAN_HOST=${directory}`)
      expect((yield* HostControl.status({ directory })).domains).toEqual([0])
      yield* host.signal(signal)
      const { code, stderr } = yield* host.outcome
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(fs.existsSync(directory)).toBe(false)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("is refused in one line where a host is already", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const host = yield* start(directory, ["host"])
      yield* host.printed("VCHAN_HOST")
      const { code, stderr } = yield* run(directory, ["host"])
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `vchan: a host serves ${directory} already: use that one, or name another directory\n`
      })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))
})
