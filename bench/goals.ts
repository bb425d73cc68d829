/**
 * What is to be reached: ratios within one run, which machine and load change less than any time. `floor` is what holds with a
 * factor of two to spare even briefly measured on a busy machine, where there is such a bound.
 */
import { raw } from "./comparisons/raw.ts"
import { rpc } from "./comparisons/rpc.ts"
import type { Results } from "./report.ts"

interface Goal {
  readonly name: string
  readonly comparison: string
  readonly load: string
  readonly better: string
  /** The peer; of several the one that does best counts. */
  readonly worse: string | ReadonlyArray<string>
  readonly must: number
  readonly aim: number
  readonly floor?: number
  /** How the README tells it. */
  readonly brief?: { readonly what: string; readonly than: string }
}

/** Effect's own RPC, in either serialization. */
const stock = [rpc.ndjson, rpc.binary]

export const goals: ReadonlyArray<Goal> = [
  {
    name: "64 B there and back: Node unix socket / ours",
    comparison: "raw",
    load: "64 B there and back",
    better: raw.vchan,
    worse: raw.socket,
    must: 5,
    aim: 15,
    brief: { what: "64 B there and back", than: "as fast as a unix socket of Node's" }
  },
  {
    name: "64 B there and back: libxenvchan / ours",
    comparison: "raw",
    load: "64 B there and back",
    better: raw.vchan,
    worse: raw.xenvchan,
    must: 1,
    aim: 2
  },
  {
    name: "64 KiB messages: ours / libxenvchan",
    comparison: "raw",
    load: "messages of 64 KiB, one way",
    better: raw.vchan,
    worse: raw.xenvchan,
    must: 1,
    aim: 2,
    brief: { what: "messages of 64 KiB, one way", than: "as fast as libxenvchan, in C" }
  },
  {
    name: "1 KiB messages: ours / C ring, same waiting",
    comparison: "raw",
    load: "messages of 1 KiB, one way",
    better: raw.vchan,
    worse: raw.limit,
    must: 0.6,
    aim: 0.8
  },
  {
    name: "64 B messages by the Sink: ours / Node unix socket",
    comparison: "raw",
    load: "messages of 64 B, one way",
    better: raw.sink,
    worse: raw.socket,
    must: 10,
    aim: 20
  },
  {
    name: "1 KiB messages by the Sink: ours / Node unix socket",
    comparison: "raw",
    load: "messages of 1 KiB, one way",
    better: raw.sink,
    worse: raw.socket,
    must: 6,
    aim: 12,
    floor: 1,
    brief: { what: "messages of 1 KiB, one way", than: "as fast as a unix socket of Node's" }
  },
  {
    name: "64 KiB messages by the Sink: ours / Node unix socket",
    comparison: "raw",
    load: "messages of 64 KiB, one way",
    better: raw.sink,
    worse: raw.socket,
    must: 1.5,
    aim: 3
  },
  {
    name: "small call, 1 in flight: effect/rpc / ours",
    comparison: "rpc",
    load: "small calls, 1 in flight",
    better: rpc.vchan,
    worse: stock,
    must: 8,
    aim: 15,
    brief: { what: "a small call", than: "as fast as Effect's own RPC over a unix socket" }
  },
  {
    name: "small calls, 16 in flight: ours / effect/rpc",
    comparison: "rpc",
    load: "small calls, 16 in flight",
    better: rpc.vchan,
    worse: stock,
    must: 5,
    aim: 10
  },
  {
    name: "small calls, 256 in flight: ours / effect/rpc",
    comparison: "rpc",
    load: "small calls, 256 in flight",
    better: rpc.vchan,
    worse: stock,
    must: 5,
    aim: 10,
    floor: 0.7,
    brief: { what: "small calls, 256 in flight", than: "as many as Effect's own RPC" }
  },
  {
    name: "small calls, 256 in flight: ours / grpc-js",
    comparison: "rpc",
    load: "small calls, 256 in flight",
    better: rpc.vchan,
    worse: rpc.grpc,
    must: 40,
    aim: 80,
    floor: 5,
    brief: { what: "small calls, 256 in flight", than: "as many as grpc-js over a unix socket" }
  },
  {
    name: "stream of single items: ours / effect/rpc",
    comparison: "rpc",
    load: "stream of single items",
    better: rpc.vchan,
    worse: stock,
    must: 20,
    aim: 100,
    floor: 3,
    brief: { what: "a stream of single items", than: "as many as Effect's own RPC" }
  },
  {
    name: "stream of single items: ours / grpc-js",
    comparison: "rpc",
    load: "stream of single items",
    better: rpc.vchan,
    worse: rpc.grpc,
    must: 1,
    aim: 4
  },
  {
    name: "64 KiB there and back, 16 in flight: ours / effect/rpc",
    comparison: "rpc",
    load: "64 KiB there and back, 16 in flight",
    better: rpc.vchan,
    worse: stock,
    must: 4,
    aim: 10
  }
]

/** In how many times one side is better; undefined where it was not measured. */
export const ratioOf = ({ better, comparison, load, worse }: Goal, results: Results): number | undefined => {
  const row = results[comparison]?.table.rows.find((row) => row.load === load)
  const ours = row?.figures[better]?.median
  const theirs = [worse].flat().flatMap((name) => row?.figures[name]?.median ?? [])
  if (row === undefined || ours === undefined || theirs.length === 0) return undefined
  return row.unit.endsWith("/s") ? ours / Math.max(...theirs) : Math.min(...theirs) / ours
}
