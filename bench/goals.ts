/**
 * What is to be reached. Set before the code was written.
 */
import { raw } from "./comparisons/raw.ts"
import { rpc } from "./comparisons/rpc.ts"
import { grown, idle, inFlight, overConnections } from "./comparisons/scale.ts"
import { ahead, found, type Measured, rise } from "./ratios.ts"

interface Goal {
  readonly name: string
  readonly measured: Measured
  readonly must: number
  readonly aim: number
  /** Where less is better: what must be reached is the most, otherwise the least. */
  readonly isMost?: true
  /** How the README tells it. */
  readonly brief?: { readonly what: string; readonly than: string }
}

/** Effect's own RPC, in either serialization. */
export const stock = [rpc.ndjson, rpc.binary]

export const names = (loads: ReadonlyArray<{ readonly name: string }>) => loads.map(({ name }) => name)

/** In percent of one CPU, to one decimal: no process that runs a timer takes less. */
const cpu = (side: string): Measured => (results) => {
  const millis = found("scale", idle.cpu(side), grown)(results)
  return millis === undefined ? undefined : Math.round(millis) / 10
}

export const goals: ReadonlyArray<Goal> = [
  {
    name: "64 B there and back: Node unix socket / ours",
    measured: ahead("raw", "64 B there and back", raw.vchan, raw.socket),
    must: 5,
    aim: 15,
    brief: { what: "64 B there and back", than: "as fast as a unix socket of Node's" }
  },
  {
    name: "64 B there and back: libxenvchan / ours",
    measured: ahead("raw", "64 B there and back", raw.vchan, raw.xenvchan),
    must: 1,
    aim: 2
  },
  {
    name: "64 KiB messages: ours / libxenvchan",
    measured: ahead("raw", "messages of 64 KiB, one way", raw.vchan, raw.xenvchan),
    must: 1,
    aim: 2,
    brief: { what: "messages of 64 KiB, one way", than: "as fast as libxenvchan, in C" }
  },
  {
    name: "1 KiB messages: ours / C ring, same waiting",
    measured: ahead("raw", "messages of 1 KiB, one way", raw.vchan, raw.limit),
    must: 0.6,
    aim: 0.8
  },
  {
    name: "64 B messages by the Sink: ours / Node unix socket",
    measured: ahead("raw", "messages of 64 B, one way", raw.sink, raw.socket),
    must: 10,
    aim: 20
  },
  {
    name: "1 KiB messages by the Sink: ours / Node unix socket",
    measured: ahead("raw", "messages of 1 KiB, one way", raw.sink, raw.socket),
    must: 6,
    aim: 12,
    brief: { what: "messages of 1 KiB by the Sink, one way", than: "as fast as a unix socket of Node's that is not corked" }
  },
  {
    name: "64 KiB messages by the Sink: ours / Node unix socket",
    measured: ahead("raw", "messages of 64 KiB, one way", raw.sink, raw.socket),
    must: 1.5,
    aim: 3
  },
  {
    name: "small call, 1 in flight: effect/rpc / ours",
    measured: ahead("rpc", "small calls, 1 in flight", rpc.vchan, ...stock),
    must: 8,
    aim: 15,
    brief: { what: "a small call", than: "as fast as Effect's own RPC over a unix socket" }
  },
  {
    name: "small calls, 16 in flight: ours / effect/rpc",
    measured: ahead("rpc", "small calls, 16 in flight", rpc.vchan, ...stock),
    must: 5,
    aim: 10
  },
  {
    name: "small calls, 256 in flight: ours / effect/rpc",
    measured: ahead("rpc", "small calls, 256 in flight", rpc.vchan, ...stock),
    must: 5,
    aim: 10,
    brief: { what: "small calls, 256 in flight", than: "as many as Effect's own RPC" }
  },
  {
    name: "small calls, 256 in flight: ours / grpc-js",
    measured: ahead("rpc", "small calls, 256 in flight", rpc.vchan, rpc.grpc),
    must: 40,
    aim: 80,
    brief: { what: "small calls, 256 in flight", than: "as many as grpc-js over a unix socket" }
  },
  {
    name: "stream of single items: ours / effect/rpc",
    measured: ahead("rpc", "stream of single items", rpc.vchan, ...stock),
    must: 20,
    aim: 100,
    brief: { what: "a stream of single items", than: "as many as Effect's own RPC" }
  },
  {
    name: "stream of single items: ours / grpc-js",
    measured: ahead("rpc", "stream of single items", rpc.vchan, rpc.grpc),
    must: 1,
    aim: 4
  },
  {
    name: "64 KiB there and back, 16 in flight: ours / effect/rpc",
    measured: ahead("rpc", "64 KiB there and back, 16 in flight", rpc.vchan, ...stock),
    must: 4,
    aim: 10
  },
  {
    name: "cost of a call, 1 to 200 connections: how much it rises",
    measured: rise("scale", names(overConnections), grown),
    must: 2,
    aim: 1.2,
    isMost: true
  },
  {
    name: "cost of a call, 1 to 10 000 in flight: how much it rises",
    measured: rise("scale", names(inFlight), grown),
    must: 2,
    aim: 1.2,
    isMost: true
  },
  ...["client", "server"].flatMap((side): ReadonlyArray<Goal> => [
    {
      name: `memory of an idle connection beyond its rings, ${side}, KiB`,
      measured: found("scale", idle.memory(side), grown),
      must: 64,
      aim: 16,
      isMost: true
    },
    { name: `CPU of 100 idle connections, ${side}, %`, measured: cpu(side), must: 0, aim: 0, isMost: true }
  ])
]

/** How far it got. */
export const verdictOf = ({ aim, isMost, must }: Goal, measured: number): "aim" | "must" | "below" => {
  const reached = (wanted: number) => isMost === true ? measured <= wanted : measured >= wanted
  if (reached(aim)) return "aim"
  return reached(must) ? "must" : "below"
}
