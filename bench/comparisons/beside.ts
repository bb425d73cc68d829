/**
 * What a small call takes while something large goes over the same connection, or waits there. Nothing is compared with a peer: each row stands
 * beside the call that has the connection to itself.
 */
import { Effect } from "effect"
import type { Comparison } from "../comparison.ts"
import { host, program } from "../host.ts"
import { type Load, measureAll } from "../measure.ts"
import { side } from "./raw.ts"

const call = (line: string, name: string, first: number): Load => ({
  name: `a small call, ${name}`,
  unit: "us",
  line: (count) => `${line} ${count}`,
  value: (_, __, [seconds = Number.NaN]) => seconds * 1e6,
  first
})

/** Beside so many MiB, which are 1 GiB where figures are kept. */
const transfer = (line: string, way: string, mebibytes: number): Load => ({
  ...call(line, `beside 1 GiB on its way ${way} the server`, mebibytes),
  most: mebibytes
})

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  yield* host
  const ours = yield* side(["vchan-rpc", [program("rpc/main.ts", "server", "vchan"), program("rpc/beside.ts")]])
  const mebibytes = effort.isBrief ? 16 : 1024
  const rows = yield* measureAll([ours], [
    call("alone", "alone", 100),
    call("slow", "beside a stream whose consumer takes nothing", 100),
    transfer("down", "from", mebibytes),
    transfer("up", "to", mebibytes)
  ], effort)
  return { title: "A small call beside others", sides: ["vchan-rpc"], rows }
})
