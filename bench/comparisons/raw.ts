/**
 * Bytes between two processes: a vchan by its callbacks, its Effects and its Sink, beside what else carries bytes.
 */
import { Effect } from "effect"
import * as path from "node:path"
import { build, findDebianXen, installLine } from "../../test/interop/debianXen.ts"
import { type Command, start } from "../Agent.ts"
import type { Comparison } from "../comparison.ts"
import { host, program, vchan } from "../host.ts"
import { domain } from "../inDomain.ts"
import { type Load, measureAll, type Side } from "../measure.ts"
import { source } from "../raw/source.ts"

/** The sides' names. */
export const raw = {
  vchan: "vchan, callbacks",
  fibers: "vchan, Effects",
  sink: "vchan, Sink",
  limit: "C ring, same waiting",
  xenvchan: "C libxenvchan",
  csocket: "C unix socket",
  socket: "Node unix socket",
  corked: "Node unix socket, corked",
  tcp: "Node TCP",
  worker: "Node MessagePort",
  child: "Node child IPC"
} as const

/** Processes in the order that they are started in; the last one is asked. */
type Processes = ReadonlyArray<Command>

const pair = (kind: string, address: string): Processes => [
  program("raw/server.ts", kind, address),
  program("raw/client.ts", kind, address)
]

/** A pair over a vchan with rings of that size. */
export const ours = (kind: "vchan" | "fibers" | "sink", ring: number): Processes => pair(kind, `${kind}-${ring}:${ring}`)

/** The same over libxenvchan, as Debian has it. Throws where it cannot be had. */
export const xenvchan = (ring: number): Processes => {
  const debian = findDebianXen()
  const built = debian.build("bench-xenvchan", [source], ["xenvchan"], "-DXENVCHAN")
  const path = `/local/domain/${domain.server}/data/c-${ring}`
  const side = (role: keyof typeof domain, peer: number) =>
    vchan(
      ...["host", "exec", "--domid", String(domain[role]), "--"],
      ...["env", `LD_LIBRARY_PATH=${debian.libraries}`, built, "xenvchan", role, String(peer), path, String(ring)]
    )
  return [side("server", domain.client), side("client", domain.server)]
}

/** A C program over something else. Throws without a compiler. */
const native = (...args: ReadonlyArray<string>): Processes => [{ argv: [build("bench-raw", [source]), ...args] }]

/** A side and its processes. */
type Named = readonly [name: string, processes: Processes]

/** A side that not every machine has: where it cannot be made, `left` tells why, and what to do. */
export const startable = (left: Array<string>, name: string, make: () => Processes): ReadonlyArray<Named> => {
  try {
    return [[name, make()]]
  } catch (cause) {
    left.push(`${name} (${cause instanceof Error ? cause.message.split("\n")[0] : cause}): ${installLine}`)
    return []
  }
}

/** Starts a side's processes. */
export const side = Effect.fnUntraced(function*([name, processes]: Named) {
  let agent = yield* start(processes[0] ?? { argv: [] })
  for (const command of processes.slice(1)) agent = yield* start(command)
  return { name, agent } satisfies Side
})

/** A load that is timed, each as `KIND SIZE COUNT`. */
export const rawLoad = (kind: "rtt" | "stream" | "both", size: number, name: string): Load => ({
  name,
  unit: kind === "rtt" ? "us" : "GiB/s",
  line: (count) => `${kind} ${size} ${count}`,
  value: (count, seconds, [median = Number.NaN]) => kind === "rtt" ? median : size * count * (kind === "both" ? 2 : 1) / seconds / 2 ** 30,
  first: kind === "rtt" ? 10 : Math.max(1, Math.round(2 ** 20 / size))
})

const sizes = [[64, "64 B"], [1024, "1 KiB"], [65536, "64 KiB"], [2 ** 20, "1 MiB"]] as const

const loads = [
  ...sizes.map(([size, text]) => rawLoad("rtt", size, `${text} there and back`)),
  ...sizes.map(([size, text]) => rawLoad("stream", size, `messages of ${text}, one way`)),
  rawLoad("both", 65536, "messages of 64 KiB, both ways at once")
]

/** The counts and checksums of some runs of each kind. */
export const checked = ({ agent }: Side) =>
  Effect.forEach(["rtt-checked 64 50", "rtt-checked 1048576 2", "stream-checked 1000 999", "both-checked 65536 40"], agent.ask, {
    discard: true
  })

const ring = 256 * 1024

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  const directory = yield* host
  const left: Array<string> = []
  const orLeft = (name: string, make: () => Processes) => startable(left, name, make)
  const found: ReadonlyArray<Named> = [
    [raw.vchan, ours("vchan", ring)],
    [raw.fibers, ours("fibers", ring)],
    [raw.sink, ours("sink", ring)],
    ...orLeft(raw.limit, () => native("ring", String(ring))),
    ...orLeft(raw.xenvchan, () => xenvchan(ring)),
    ...orLeft(raw.csocket, () => native("socket")),
    [raw.socket, pair("socket", path.join(directory, "raw"))],
    [raw.corked, pair("corked", path.join(directory, "corked"))],
    [raw.tcp, pair("tcp", path.join(directory, "port"))],
    [raw.worker, [program("raw/client.ts", "worker")]],
    [raw.child, [program("raw/client.ts", "child")]]
  ]
  const sides = yield* Effect.forEach(found, side)
  yield* Effect.forEach(sides, checked)
  const rows = yield* measureAll(sides, loads, effort)
  return { title: `Bytes, rings of ${ring / 1024} KiB`, sides: sides.map(({ name }) => name), rows, left }
})
