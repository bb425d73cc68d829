/**
 * Codecs on their own, each in a process of its own: values into bytes and back, checked by their schemas both ways.
 */
import { Effect } from "effect"
import type { Comparison } from "../comparison.ts"
import { program } from "../host.ts"
import { type Load, measureAll } from "../measure.ts"
import { side } from "./raw.ts"

/** The sides' names. Effect's own just-in-time compiler of schemas checks for all but ours. */
export const codecs = {
  generated: "vchan-rpc",
  closures: "vchan-rpc, closures",
  schemaBinary: "SchemaBinary, JIT",
  msgpackr: "msgpackr, JIT",
  json: "JSON, JIT"
} as const

const jit = `--import=${import.meta.resolve("effect/schema/SchemaJITCompiler/enable")}`

const values = ["a small payload", "20 fields", "100 tagged members with dates", "1000 structs", "64 KiB of bytes"]

const loads: ReadonlyArray<Load> = values.flatMap((name, index) =>
  (["write", "read"] as const).map((way) => ({
    name: `${name}, ${way}`,
    unit: "us",
    line: (count) => `${way} ${index} ${count}`,
    value: (count, seconds) => seconds / count * 1e6,
    first: 10
  }))
)

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  const sides = yield* Effect.forEach(Object.entries(codecs), ([kind, name]) => {
    const { argv: [node = "", ...args] } = program("rpc/codec.ts", kind)
    return side([name, [{ argv: name.endsWith("JIT") ? [node, jit, ...args] : [node, ...args] }]])
  })
  return { title: "Codecs", sides: Object.values(codecs), rows: yield* measureAll(sides, loads, effort) }
})
