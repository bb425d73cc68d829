/**
 * What holds with a factor of two to spare even where it is measured briefly on a busy machine: ratios of each side's best round, for whatever else
 * runs spoils some rounds of each.
 */
import { Record } from "effect"
import { codecs } from "./comparisons/codec.ts"
import { hosts } from "./comparisons/hosts.ts"
import { raw } from "./comparisons/raw.ts"
import { loadName } from "./comparisons/rings.ts"
import { rpc } from "./comparisons/rpc.ts"
import { grown, inFlight, overConnections } from "./comparisons/scale.ts"
import { startup } from "./comparisons/startup.ts"
import { names, stock } from "./goals.ts"
import { ahead, isTime, type Measured, rise } from "./ratios.ts"
import type { Results } from "./report.ts"

interface Floor {
  readonly comparison: string
  readonly name: string
  readonly measured: Measured
  readonly least: number
}

const floor = (comparison: string, load: string, ours: string, others: string | ReadonlyArray<string>, least: number): Floor => ({
  comparison,
  name: `${comparison}: ${load}, ${ours} / ${[others].flat().join(" or ")}`,
  measured: ahead(comparison, load, ours, ...[others].flat()),
  least
})

/** What one side's call costs at its cheapest, beside the dearest after it. */
const flat = (comparison: string, what: string, loads: ReadonlyArray<string>, side: string, least: number): Floor => ({
  comparison,
  name: `${comparison}: ${what}, the cheapest / the dearest after it`,
  measured: (results) => {
    const most = rise(comparison, loads, side)(results)
    return most === undefined ? undefined : 1 / most
  },
  least
})

const waiting = "a small call, beside a stream whose consumer takes nothing"

const floors: ReadonlyArray<Floor> = [
  floor("raw", "64 B there and back", raw.vchan, raw.socket, 0.5),
  floor("raw", "64 B there and back", raw.vchan, raw.xenvchan, 0.1),
  floor("raw", "messages of 64 B, one way", raw.vchan, raw.socket, 2),
  floor("raw", "messages of 1 KiB, one way", raw.vchan, raw.socket, 2),
  floor("raw", "messages of 1 KiB, one way", raw.sink, raw.socket, 0.7),
  floor("raw", "messages of 64 KiB, one way", raw.vchan, raw.xenvchan, 0.2),
  floor("raw", "messages of 64 KiB, one way", raw.vchan, raw.socket, 1),
  floor("raw", "messages of 1 KiB, one way", raw.vchan, raw.limit, 0.1),
  floor("rings", loadName(4, "1 KiB"), raw.vchan, raw.xenvchan, 0.005),
  floor("rpc", "small calls, 1 in flight", rpc.vchan, stock, 0.1),
  floor("rpc", "small calls, 1 in flight", rpc.vchan, rpc.grpc, 1),
  floor("rpc", "small calls, 16 in flight", rpc.vchan, stock, 1.5),
  floor("rpc", "small calls, 256 in flight", rpc.vchan, stock, 0.5),
  floor("rpc", "small calls, 256 in flight", rpc.vchan, rpc.grpc, 5),
  floor("rpc", "small calls, 256 in flight", rpc.vchan, rpc.connect, 8),
  floor("rpc", "small calls, 256 in flight", rpc.vchan, rpc.trpc, 2),
  floor("rpc", "small calls, 10 000 in flight", rpc.vchan, stock, 1),
  floor("rpc", "stream of single items", rpc.vchan, stock, 5),
  floor("rpc", "stream of single items", rpc.vchan, rpc.grpc, 0.7),
  floor("rpc", "64 KiB there and back, 16 in flight", rpc.vchan, stock, 0.7),
  floor("rpc", "single items from the client", rpc.vchan, rpc.grpc, 1),
  floor("rpc", "single items from the client", rpc.vchan, rpc.connect, 2),
  floor("rpc", "single items both ways at once", rpc.vchan, rpc.grpc, 1),
  floor("rpc", "single items both ways at once", rpc.vchan, rpc.connect, 1.5),
  floor("codec", "a small payload, write", codecs.generated, [codecs.schemaBinary, codecs.json], 0.6),
  floor("codec", "a small payload, read", codecs.generated, [codecs.schemaBinary, codecs.json], 0.6),
  floor("codec", "1000 structs, write", codecs.generated, codecs.json, 3),
  floor("codec", "1000 structs, read", codecs.generated, codecs.json, 2),
  floor("hosts", "small calls, 256 in flight", hosts.vchan, hosts.cluster, 10),
  floor("hosts", "small calls, 256 in flight", hosts.gateway, hosts.http, 0.2),
  floor("startup", "start, call once and end", startup.built, startup.grpc, 0.08),
  floor("startup", "start, call once and end", startup.built, startup.node, 0.015),
  flat("scale", "small calls, so many in flight", names(inFlight), grown, 0.04),
  flat("scale", "small calls on so many connections", names(overConnections), grown, 0.04),
  flat("beside", "a small call, beside a stream that waits", ["a small call, alone", waiting], "vchan-rpc", 0.1)
]

/** Each side's best round in the place of its median. */
const atBest = (results: Results): Results =>
  Record.map(results, ({ table, where }) => {
    const rows = table.rows.map((row) => ({
      ...row,
      figures: Record.map(row.figures, (figure) => ({ ...figure, median: isTime(row) ? figure.low : figure.high }))
    }))
    return { where, table: { ...table, rows } }
  })

export interface Held {
  readonly name: string
  readonly least: number
  /** Undefined where it was not measured. */
  readonly ratio: number | undefined
}

/** A comparison's ratios, to be held against the least that they may be. */
export const held = (comparison: string, results: Results): ReadonlyArray<Held> => {
  const best = atBest(results)
  return floors.filter((floor) => floor.comparison === comparison).map(({ least, measured, name }) => ({
    name,
    least,
    ratio: measured(best)
  }))
}
