/**
 * Typed calls between two processes: over a vchan, beside what else makes typed calls, over unix sockets where it can.
 */
import { Effect } from "effect"
import * as path from "node:path"
import type { Comparison } from "../comparison.ts"
import { host, program } from "../host.ts"
import { type Load, measureAll } from "../measure.ts"
import { side } from "./raw.ts"

/** The sides' names. */
export const rpc = {
  vchan: "vchan-rpc",
  ndjson: "effect/rpc, ndjson",
  binary: "effect/rpc, SchemaBinary",
  vchanNdjson: "effect/rpc, ndjson, over our vchan",
  vchanBinary: "effect/rpc, SchemaBinary, over our vchan",
  grpc: "grpc-js",
  connect: "connect-node",
  trpc: "tRPC, ws",
  comlink: "Comlink, worker"
} as const

const sides = Object.keys(rpc) as ReadonlyArray<keyof typeof rpc>

/** Small calls, so many in flight. */
export const adds = (inFlight: number, text: string): Load => ({
  name: `small calls, ${text} in flight`,
  unit: inFlight === 1 ? "us" : "/s",
  line: (count) => `add ${inFlight} ${count}`,
  value: (count, seconds, [median = Number.NaN]) => inFlight === 1 ? median : count / seconds,
  first: inFlight
})

const items = (way: "items" | "total" | "echo", chunk: number, name: string): Load => ({
  name,
  unit: "/s",
  line: (count) => `${way} ${chunk} ${count}`,
  value: (count, seconds) => count / seconds,
  first: 100
})

const bodies = (size: number, text: string): Load => ({
  name: `${text} there and back, 16 in flight`,
  unit: "/s",
  line: (count) => `body ${size} ${count}`,
  value: (count, seconds) => count / seconds,
  first: 4
})

const loads = [
  adds(1, "1"),
  adds(16, "16"),
  adds(256, "256"),
  adds(10_000, "10 000"),
  items("items", 1, "stream of single items"),
  items("items", 100, "stream in chunks of 100"),
  bodies(1024, "1 KiB"),
  bodies(65536, "64 KiB"),
  bodies(1_000_000, "1 MB")
]

/** Streams from the client, and who has them. */
const uploads = [
  items("total", 1, "single items from the client"),
  items("total", 100, "items from the client in chunks of 100"),
  items("echo", 1, "single items both ways at once"),
  items("echo", 100, "items both ways at once in chunks of 100")
]
const uploading: ReadonlyArray<string> = [rpc.vchan, rpc.grpc, rpc.connect]

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  const directory = yield* host
  const started = yield* Effect.forEach(sides, (kind) => {
    const socket = path.join(directory, kind)
    const [server, client] = [program("rpc/main.ts", "server", kind, socket), program("rpc/main.ts", "client", kind, socket)]
    return side([rpc[kind], kind === "comlink" ? [client] : [server, client]])
  })
  const rows = [
    ...yield* measureAll(started, loads, effort),
    ...yield* measureAll(started.filter(({ name }) => uploading.includes(name)), uploads, effort)
  ]
  return { title: "Typed calls", sides: Object.values(rpc), rows }
})
