import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { run } from "./command.ts"

const version: unknown = JSON.parse(fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")).version

const nowhere = "/dev/shm/vchan-test-no-such-host"

const vchan = (...args: ReadonlyArray<string>) => run(nowhere, args).pipe(Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer))

describe("vchan", () => {
  it.live("tells its version", () =>
    Effect.gen(function*() {
      expect(yield* vchan("--version")).toEqual({ code: 0, stdout: `vchan v${version}\n`, stderr: "" })
    }))

  it.live("tells its commands", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* vchan("--help")
      expect(code).toBe(0)
      expect(stdout).toMatch(/host .*\n.*services .*\n.*call .*\n.*echo .*\n.*node /)
    }))

  it.live("prints completions for the shell", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* vchan("--completions", "bash")
      expect(code).toBe(0)
      expect(stdout).toContain("directory")
    }))

  it.live.each(["no-such-command", "echo --no-such-flag", "echo --peer 70000", "node client 1"])(
    "refuses %s with the usage",
    (line) =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* vchan(...line.split(" "))
        expect(code).toBe(1)
        expect(stdout).toContain("USAGE")
        expect(stderr).toContain("ERROR")
        expect(stderr).not.toMatch(/^ +at /m)
      })
  )

  it.live("tells in one line that there is no host, and what to do", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* vchan("echo")
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(stderr).toBe(`vchan: no host at ${nowhere}: start one with 'vchan host'\n`)
    }))
})
