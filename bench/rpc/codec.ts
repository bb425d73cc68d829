/**
 * A codec on its own, as a measured process: `codec.ts KIND` writes and reads values of some schemas, each checked by its schema on the way.
 */
import { Result, Schema } from "effect"
import { SchemaBinary } from "effect/encoding"
import { Packr } from "msgpackr"
import assert from "node:assert"
import { binary, type Codec, interpreted } from "../../packages/rpc/src/Codec.ts"
import type { PlainSchema } from "../../packages/rpc/src/Plan.ts"
import { answer } from "../answer.ts"

const Row = Schema.Struct({ id: Schema.Int, name: Schema.String, score: Schema.Number, on: Schema.Boolean })
const fields = Array.from(
  { length: 20 },
  (_, index) => [`field${index}`, [Schema.String, Schema.Int, Schema.Number, Schema.Boolean][index % 4]] as const
)
const Wide = Schema.Struct(Object.fromEntries(fields.map(([name, type]) => [name, type ?? Schema.String])))
const Event = Schema.Union([
  Schema.TaggedStruct("Moved", { id: Schema.Int, at: Schema.Date }),
  Schema.TaggedStruct("Named", { id: Schema.Int, name: Schema.optionalKey(Schema.String) })
])

/** Schemas, in the order of the comparison's rows, and a value of each. */
const samples: ReadonlyArray<readonly [schema: PlainSchema, value: unknown]> = [
  [Schema.Struct({ text: Schema.String }), { text: "hello" }],
  [Wide, Object.fromEntries(fields.map(([name], index) => [name, ["some text", index, index / 3, true][index % 4]]))],
  [
    Schema.Array(Event),
    Array.from({ length: 100 }, (_, id) => id % 2 === 0 ? { _tag: "Moved", id, at: new Date(id) } : { _tag: "Named", id, name: "x" })
  ],
  [
    Schema.Array(Row),
    Array.from({ length: 1000 }, (_, id) => ({ id, name: `name ${id}`, score: id / 7, on: id % 2 === 0 }))
  ],
  [Schema.Struct({ bytes: Schema.Uint8Array }), { bytes: new Uint8Array(65536) }]
]

interface Both {
  readonly write: (value: unknown) => Uint8Array
  readonly read: (bytes: Uint8Array) => unknown
}

const ours = (codec: Codec): Both => ({
  write: (value) => Result.getOrThrow(codec.encode(value)),
  read: (bytes) => Result.getOrThrow(codec.decode(bytes))
})

const kinds: Readonly<Record<string, (schema: PlainSchema) => Both>> = {
  generated: (schema) => ours(binary(schema, {})),
  closures: (schema) => ours(binary(schema, {}, interpreted)),
  schemaBinary: (schema) => {
    const parser = SchemaBinary.parser(schema, { fingerprint: true })
    return { write: SchemaBinary.encoder(schema, { fingerprint: true }).encode, read: (bytes) => parser.feedSync(bytes)[0] }
  },
  msgpackr: (schema) => {
    const packr = new Packr({ structures: [] })
    const [encode, decode] = [Schema.encodeUnknownSync(schema), Schema.decodeUnknownSync(schema)]
    return { write: (value) => packr.pack(encode(value)), read: (bytes) => decode(packr.unpack(bytes)) }
  },
  json: (schema) => {
    const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
    const [encode, decode] = [Schema.encodeUnknownSync(codec), Schema.decodeUnknownSync(codec)]
    return { write: (value) => Buffer.from(encode(value)), read: (bytes) => decode(Buffer.from(bytes).toString()) }
  }
}

const make = kinds[process.argv[2] ?? ""]
if (make === undefined) throw new Error(`there is no codec ${process.argv[2]}`)
const rounds = samples.map(([schema, value]) => {
  const { read, write } = make(schema)
  const bytes = write(value).slice()
  // msgpackr gives bytes as a Buffer.
  assert.deepEqual(read(bytes), value)
  return { write: () => write(value), read: () => read(bytes) }
})

const timed = (way: "write" | "read") => (index: number = 0, count: number = 0) => {
  const run = rounds[index]?.[way]
  if (run === undefined) throw new Error(`there is no schema ${index}`)
  const start = performance.now()
  for (let round = 0; round < count; round++) run()
  return Promise.resolve([(performance.now() - start) / 1000])
}

answer({ write: timed("write"), read: timed("read") })
