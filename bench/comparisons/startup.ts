/**
 * How long one call takes from a shell: a process starts, calls once, prints what came, and ends.
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type Agent, AgentError, type Command, start } from "../Agent.ts"
import type { Comparison } from "../comparison.ts"
import { host, program, vchan } from "../host.ts"
import { domain } from "../inDomain.ts"
import { type Load, measureAll } from "../measure.ts"

/** The sides' names. */
export const startup = {
  built: "vchan call",
  source: "vchan call, from its source",
  grpc: "grpc-js",
  node: "node -e 0"
} as const

/** Runs a command as often as it is asked to; it has to print that. */
const repeated = ({ argv, env }: Command, printed: string): Agent => ({
  ask: (line) =>
    Effect.tryPromise({
      try: async () => {
        const [program = "", ...args] = argv
        const begin = performance.now()
        for (let left = Number(line); left > 0; left--) {
          const { stdout } = await promisify(execFile)(program, args, { env: { ...process.env, ...env } })
          if (stdout !== printed) throw new Error(`printed ${stdout}`)
        }
        return [(performance.now() - begin) / 1000]
      },
      catch: (cause) => new AgentError({ message: `${argv.join(" ")}: ${String(cause)}` })
    })
})

const load: Load = {
  name: "start, call once and end",
  unit: "ms",
  line: String,
  value: (count, seconds) => seconds / count * 1000
}

/** Brings what is published up to date with its source, which `vchan call` is not to be measured without. */
const build = Effect.promise(() =>
  promisify(execFile)("npm", ["run", "compile"], { cwd: fileURLToPath(new URL("../..", import.meta.url)) })
)

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  const directory = yield* host
  yield* build
  const socket = path.join(directory, "grpc")
  yield* start(program("rpc/main.ts", "server", "vchan"))
  yield* start(program("rpc/main.ts", "server", "grpc", socket))
  const call = vchan("call", String(domain.server), "bench.Add", "{\"a\":1,\"b\":2}")
  const sides = [
    { name: startup.built, agent: repeated({ ...call, env: { NODE_OPTIONS: "" } }, "3\n") },
    { name: startup.source, agent: repeated({ ...call, env: { NODE_OPTIONS: "--conditions=@vchan/source" } }, "3\n") },
    { name: startup.grpc, agent: repeated(program("rpc/callOnce.ts", socket), "3\n") },
    { name: startup.node, agent: repeated({ argv: [process.execPath, "-e", "0"] }, "") }
  ]
  return { title: "One call from a shell", sides: Object.values(startup), rows: yield* measureAll(sides, [load], effort) }
})
