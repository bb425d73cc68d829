/**
 * Processes for tests of faults: a host, guests and clients, each killed when its Scope ends at the latest.
 */
import type { HostStatus } from "@vchan/xen-linux"
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { temporaryDirectory, untilStatus } from "../../packages/xen-linux/test/testHost.ts"
import { until } from "../conformance/Backend.ts"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** A child with all that it has told so far. */
export interface Child {
  readonly words: ReadonlyArray<string>
  /** Waits, in bounded time, until the child has told something that begins so, and gives the rest of it. */
  readonly told: (start: string) => Effect.Effect<string>
  /** Sends it a signal. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Ends it as it stands, and waits until it is gone. */
  readonly kill: (signal?: NodeJS.Signals) => Effect.Effect<void>
}

/** Starts a program on the host of a directory. */
export const start = Effect.fnUntraced(function*(
  directory: string,
  program: string,
  args: ReadonlyArray<string>
): Effect.fn.Return<Child, never, Scope.Scope> {
  const child: ChildProcess = yield* Effect.acquireRelease(
    Effect.sync(() =>
      fork(program, args, {
        env: { ...process.env, VCHAN_HOST: directory },
        execArgv: ["--conditions=@vchan/source"],
        stdio: ["ignore", "pipe", "inherit", "ipc"]
      })
    ),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  const words: Array<string> = []
  child.on("message", (word) => void words.push(String(word)))
  child.stdout?.setEncoding("utf8").on("data", (text: string) => void words.push(...text.trim().split("\n")))
  const gone = () => child.exitCode !== null || child.signalCode !== null
  return {
    words,
    told: (start) =>
      Effect.map(
        until(
          () => `"${start}" from ${program} ${args.join(" ")}, which told ${JSON.stringify(words)}`,
          () => words.some((word) => word.startsWith(start))
        ),
        () => (words.find((word) => word.startsWith(start)) ?? "").slice(start.length).trim()
      ),
    signal: (signal) => Effect.sync(() => void child.kill(signal)),
    kill: (signal = "SIGKILL") => Effect.andThen(Effect.sync(() => void child.kill(signal)), until(`the end of ${program}`, gone))
  }
})

/** A host as `vchan host` runs it, in a directory that goes with the Scope. */
export const startHost: Effect.Effect<Child & { readonly directory: string }, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* temporaryDirectory
  const child = yield* start(directory, here("../../packages/cli/bin/vchan.js"), ["host", "--directory", directory])
  yield* child.told("emulated host runs")
  return { ...child, directory }
})

/** A guest that serves, with its domid. */
export const startGuest = Effect.fnUntraced(function*(directory: string, args: ReadonlyArray<string> = []) {
  const child = yield* start(directory, here("guest.ts"), args)
  return { ...child, domid: Number(yield* child.told("ready")) }
})

/** A guest as that domain, which serves `restarting`. */
export const startRestarting = Effect.fnUntraced(function*(directory: string, domid: number) {
  const child = yield* start(directory, here("restarting.ts"), [String(domid)])
  yield* child.told("ready")
  return child
})

/** A client in the middle of a call and of a stream. */
export const startClient = Effect.fnUntraced(function*(directory: string, domid: number, args: ReadonlyArray<string> = []) {
  const child = yield* start(directory, here("client.ts"), [String(domid), ...args])
  yield* child.told("said hi")
  yield* child.told("streaming")
  return child
})

/** Waits, in bounded time, until the host holds nothing for these many domains (domain 0 apart) but what they start with. */
export const untilReleased = (directory: string, domains: number): Effect.Effect<HostStatus> =>
  untilStatus(
    directory,
    `nothing is held for ${domains} domains`,
    ({ grants, mappings, ports, processes, transactions, ...status }) =>
      status.domains.length === domains + 1 && processes === domains && grants + mappings + ports + transactions === 0
  )

/** Waits, in bounded time, until the host holds exactly as much again. */
export const untilHolds = (directory: string, wanted: HostStatus): Effect.Effect<HostStatus> =>
  untilStatus(directory, `as much is held as ${JSON.stringify(wanted)}`, (status) => JSON.stringify(status) === JSON.stringify(wanted))
