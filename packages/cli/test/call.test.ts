import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { testHost } from "../../xen-linux/test/testHost.ts"
import { bytes, bytesUntil, run, start } from "./command.ts"
import { serveTried } from "./service.ts"

const bounded = Effect.timeout("100 seconds")

/** A test beside a host on which domain 5 serves `tried`. */
const beside = <A, E, R>(
  test: (
    call: (...args: ReadonlyArray<string>) => ReturnType<typeof run>,
    directory: string,
    interrupted: Array<string>
  ) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const { directory } = yield* testHost()
    const interrupted = yield* serveTried(directory)
    return yield* test((...args) => run(directory, ["call", "5", ...args]), directory, interrupted)
  }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer))

const said = (stdout: string) => ({ code: 0, stdout, stderr: "" })

describe("vchan call", () => {
  it.live("prints a method's value as JSON", () =>
    beside(Effect.fnUntraced(function*(call) {
      expect(yield* call("tried.Get", `{"key":"a","version":2}`)).toEqual(said(`"a 2"\n`))
      expect(yield* call("tried.Get", `{"key":"a"}`)).toEqual(said(`"a 1"\n`))
      expect(yield* call("tried.Reverse", `{"bytes":"AQID"}`)).toEqual(said(`"AwIB"\n`))
      expect(yield* call("tried.Who", "--domid", "9")).toEqual(said("9\n"))
    })))

  it.live("reads the payload from standard input for -, and sends headers", () =>
    beside(Effect.fnUntraced(function*(call, directory) {
      expect(yield* run(directory, ["call", "5", "tried.Get", "-"], bytes(`{"key":"b"}`))).toEqual(said(`"b 1"\n`))
      expect(yield* call("tried.Header", `{"name":"b"}`, "--header", "a=1", "-H", "b=2")).toEqual(said(`"2"\n`))
    })))

  it.live("prints a stream's items, one a line, and then how it failed", () =>
    beside(Effect.fnUntraced(function*(call) {
      expect(yield* call("tried.Count", `{"to":3}`)).toEqual(said("1\n2\n3\n"))
      expect(yield* call("tried.Count", `{"to":-1}`)).toEqual({ code: 2, stdout: "1\n2\n", stderr: `{"_tag":"Missing","key":"3"}\n` })
    })))

  it.live("prints items as they come, and ends the handler when it is stopped", () =>
    beside(Effect.fnUntraced(function*(_, directory, interrupted) {
      const ticks = yield* start(directory, ["call", "5", "tried.Ticks"])
      yield* ticks.printed("0\n1\n2\n")
      yield* ticks.signal("SIGINT")
      expect((yield* ticks.outcome).code).toBe(130)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => interrupted.length > 0 })
      expect(interrupted).toEqual(["Ticks"])
    })))

  it.live("sends the lines of standard input as the stream that a method takes, and prints what comes of them meanwhile", () =>
    beside(Effect.fnUntraced(function*(call, directory) {
      expect(yield* run(directory, ["call", "5", "tried.Sum"], bytes("1\n2\n\n3"))).toEqual(said("6\n"))
      expect(yield* call("tried.Sum")).toEqual(said("0\n"))
      const end = yield* Deferred.make<void>()
      const scale = yield* start(directory, ["call", "5", "tried.Scale", `{"by":7}`], bytesUntil("1\n2\n", end))
      yield* scale.printed("7\n14\n")
      yield* Deferred.succeed(end, undefined)
      expect(yield* scale.outcome).toEqual(said("7\n14\n"))
      const wrong = yield* run(directory, ["call", "5", "tried.Sum"], bytes("1\nx\n"))
      expect(wrong).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/^vchan: the item is no JSON: .*\n$/) })
    })))

  it.live("ends with 2 and the error as JSON where the method failed", () =>
    beside(Effect.fnUntraced(function*(call) {
      expect(yield* call("tried.Get", `{"key":"none"}`)).toEqual({ code: 2, stdout: "", stderr: `{"_tag":"Missing","key":"none"}\n` })
    })))

  it.live("ends with 3 where the call was refused, 4 at the deadline, 5 without a connection, 6 where the handler died", () =>
    beside(Effect.fnUntraced(function*(call, _, interrupted) {
      const ends = yield* Effect.all([
        call("tried.Get", `{"key":"${"x".repeat(3000)}"}`),
        call("tried.Hang", "--timeout", "1 second"),
        call("other.Get", "--timeout", "1 second"),
        call("tried.Die")
      ], { concurrency: 2 })
      expect(ends.map(({ code, stdout }) => [code, stdout])).toEqual([[3, ""], [4, ""], [5, ""], [6, ""]])
      expect(ends.map(({ stderr }) => stderr).join("")).toMatch(
        /^vchan: .*takes [0-9]+ bytes, and the receiver takes 2048.*\nvchan: .*was not over in .*\nvchan: .*no server there.*\nvchan: .*a bug\\u001b\[2J vchan: all is well\n$/
      )
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => interrupted.length > 0 })
    })))

  it.live("ends with 1, in one line that says what is wrong, where it makes no call", () =>
    beside(Effect.fnUntraced(function*(call) {
      const wrong = [
        [`tried.Get`, `{"key":`],
        [`tried.Get`, `{"kye":"a","version":1.5}`],
        [`tried.Get`],
        [`tried.Got`],
        [`tried`],
        [`a/b.Get`]
      ]
      const ends = yield* Effect.forEach(wrong, (args) => call(...args), { concurrency: 2 })
      expect(ends.map(({ code, stdout }) => [code, stdout])).toEqual(wrong.map(() => [1, ""]))
      const lines = ends.map(({ stderr }) => stderr)
      for (const line of lines) expect(line).toMatch(/^vchan: .*\n$/)
      expect(lines[0]).toContain("is no JSON")
      expect(lines[1]).toContain(`["kye"]`)
      expect(lines[1]).toContain(`["version"]`)
      expect(lines[2]).toContain("what the method takes")
      expect(lines[2]).toContain("The method is Get({ key: string, version?: integer }): string, or fails with")
      expect(lines[3]).toContain(`tried has no method "Got", but Get, Who`)
      expect(lines[4]).toContain("tried names no method")
      expect(lines[5]).toContain("service.method")
    })))
})
