/**
 * What the size of the rings does, here and with libxenvchan.
 */
import { Effect } from "effect"
import type { Comparison, Row } from "../comparison.ts"
import { host } from "../host.ts"
import { measureAll } from "../measure.ts"
import { checked, ours, raw, rawLoad, side, startable, xenvchan } from "./raw.ts"

const sizes = [4, 16, 64, 256, 1024]

export const loadName = (kib: number, message: string): string => `rings of ${kib} KiB, messages of ${message}`

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  yield* host
  const left: Array<string> = []
  const rows: Array<Row> = []
  for (const kib of sizes) {
    const ring = kib * 1024
    const c = startable(left, `${raw.xenvchan}, rings of ${kib} KiB`, () => xenvchan(ring))
    const sides = yield* Effect.forEach([[raw.vchan, ours("vchan", ring)] as const, ...c.map(([, c]) => [raw.xenvchan, c] as const)], side)
    yield* Effect.forEach(sides, checked)
    const loads = [[1024, "1 KiB"], [65536, "64 KiB"]] as const
    rows.push(...yield* measureAll(sides, loads.map(([size, text]) => rawLoad("stream", size, loadName(kib, text))), effort))
  }
  return { title: "Bytes one way, by the size of the rings", sides: [raw.vchan, raw.xenvchan], rows, left }
})
