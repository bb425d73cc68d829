/**
 * The binary codec beside SchemaBinary, msgpackr with the schema's check, and JSON with it: encoding and decoding of four payloads, in turns in one
 * process. Prints microseconds for one value there and back, and how many times as long the others take. Run: `npx node rpc/codec.ts`.
 */
import { Result, Schema } from "effect"
import { SchemaBinary } from "effect/encoding"
import { pack, unpack } from "msgpackr"
import { binary, interpreted, json } from "../../packages/rpc/src/Codec.ts"
import type { PlainSchema } from "../../packages/rpc/src/Plan.ts"

const Row = Schema.Struct({ id: Schema.Int, name: Schema.String, score: Schema.Number, on: Schema.Boolean })
const fields = Array.from(
  { length: 20 },
  (_, index) => [`field${index}`, [Schema.String, Schema.Int, Schema.Number, Schema.Boolean][index % 4]] as const
)
const Wide = Schema.Struct(Object.fromEntries(fields.map(([name, type]) => [name, type ?? Schema.String])))
const wide = Object.fromEntries(fields.map(([name], index) => [name, ["some text", index, index / 3, true][index % 4]]))

const payloads: ReadonlyArray<readonly [name: string, schema: PlainSchema, value: unknown]> = [
  ["small call", Schema.Struct({ text: Schema.String }), { text: "hello" }],
  ["20 fields", Wide, wide],
  ["64 KiB bytes", Schema.Struct({ bytes: Schema.Uint8Array }), { bytes: new Uint8Array(65536) }],
  [
    "1000 structs",
    Schema.Array(Row),
    Array.from({ length: 1000 }, (_, id) => ({ id, name: `name ${id}`, score: id / 7, on: id % 2 === 0 }))
  ]
]

const contenders = (schema: PlainSchema, value: unknown): ReadonlyArray<readonly [name: string, round: () => unknown]> => {
  const codecs = { ours: binary(schema, {}), closures: binary(schema, {}, interpreted), "JSON": json(schema, {}) }
  const { encode } = SchemaBinary.encoder(schema, { fingerprint: true })
  const parser = SchemaBinary.parser(schema, { fingerprint: true })
  const [check, write] = [Schema.decodeUnknownSync(schema), Schema.encodeUnknownSync(schema)]
  return [
    ...Object.entries(codecs).map(([name, codec]) =>
      [name, () => Result.getOrThrow(codec.decode(Result.getOrThrow(codec.encode(value))))] as const
    ),
    ["SchemaBinary", () => parser.feedSync(encode(value))],
    ["msgpackr", () => check(unpack(pack(write(value))))]
  ]
}

/** Microseconds of one round, in a slice of that many milliseconds. */
const slice = (round: () => unknown, millis: number): number => {
  const start = performance.now()
  let rounds = 0
  do {
    for (let index = 0; index < 8; index++) round()
    rounds += 8
  } while (performance.now() - start < millis)
  return ((performance.now() - start) * 1000) / rounds
}

for (const [name, schema, value] of payloads) {
  const all = contenders(schema, value)
  const times = all.map((): Array<number> => [])
  for (const [, round] of all) slice(round, 200)
  for (let turn = 0; turn < 15; turn++) for (const [index, [, round]] of all.entries()) times[index]?.push(slice(round, 20))
  const medians = times.map((each) => each.sort((a, b) => a - b)[7] ?? NaN)
  const row = all.map(([name], index) =>
    `${name} ${medians[index]?.toFixed(2)} us${index === 0 ? "" : ` (${((medians[index] ?? NaN) / (medians[0] ?? NaN)).toFixed(1)}x)`}`
  )
  console.log(`${name}: ${row.join(", ")}`)
}
