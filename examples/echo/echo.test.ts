import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

/** `npm start` in the repository's root, with a mark in its environment by which all processes of it can be found. */
const npmStart = Effect.fnUntraced(function*() {
  const mark = `VCHAN_MARK=${randomUUID()}`
  const [name = "", value] = mark.split("=")
  const child = yield* ChildProcess.make("npm", ["start"], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { [name]: value },
    extendEnv: true,
    stdin: "ignore",
    forceKillAfter: "5 seconds"
  })
  const lines = child.all.pipe(Stream.decodeText(), Stream.splitLines)
  return { mark, child, lines }
})

/** The processes that have the mark in their environment. */
const marked = (mark: string): ReadonlyArray<string> =>
  fs.readdirSync("/proc").filter((pid) => {
    try {
      return /^[0-9]+$/.test(pid) && fs.readFileSync(`/proc/${pid}/environ`, "utf8").includes(mark)
    } catch {
      // It ended while it was looked at, or is another user's.
      return false
    }
  })

const directoryIn = (lines: ReadonlyArray<string>): string => /VCHAN_HOST=(\S+?),/.exec(lines.join("\n"))?.[1] ?? ""

describe("npm start", () => {
  it.live("shows a typed call, a stream, a typed failure and a cancelled call between processes, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { child, lines, mark } = yield* npmStart()
      const printed = yield* Stream.runCollect(lines)
      expect(yield* child.exitCode).toBe(0)
      expect(printed.filter((line) => line.startsWith("client"))).toEqual([
        "client | domain 2 said hello",
        "client | counted 1",
        "client | counted 2",
        "client | counted 3",
        "client | HELLO was too loud",
        "client | waited long enough"
      ])
      expect(printed.filter((line) => line.startsWith("guest"))).toEqual([
        "guest  | domain 1 serves echo",
        "guest  | Wait was interrupted: its caller no longer waits"
      ])
      expect(marked(mark)).toEqual([])
      expect(directoryIn(printed)).toMatch(/^\/dev\/shm\/vchan-demo-/)
      expect(fs.existsSync(directoryIn(printed))).toBe(false)
    }).pipe(Effect.scoped, Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer)))

  it.live("leaves nothing behind on Ctrl-C", () =>
    Effect.gen(function*() {
      const { child, lines, mark } = yield* npmStart()
      const seen: Array<string> = []
      yield* Stream.runForEach(lines, (line) => {
        seen.push(line)
        // A terminal sends SIGINT to the whole process group.
        return line.includes("serves echo")
          ? Effect.sync(() => {
            expect(marked(mark).length, "npm, the demo, the host and the guest").toBeGreaterThanOrEqual(4)
            process.kill(-child.pid, "SIGINT")
          })
          : Effect.void
      })
      yield* Effect.exit(child.exitCode)
      expect(marked(mark)).toEqual([])
      expect(directoryIn(seen)).not.toBe("")
      expect(fs.existsSync(directoryIn(seen))).toBe(false)
    }).pipe(Effect.scoped, Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer)))
})
