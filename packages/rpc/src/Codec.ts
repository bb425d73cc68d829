/**
 * Codecs: values of a schema as bytes and back, in the compact binary form or in JSON. Owns nothing.
 *
 * Both directions are total: a value the schema refuses, or bytes that no honest peer sends, give a failure that says what is wrong. The
 * schemas are run synchronously; one that needs services or waits is refused by the types or fails each value.
 */
import { Result, Schema, type SchemaAST } from "effect"
import { SchemaBinary } from "effect/encoding"

/** Values of one schema as bytes. */
export interface Codec {
  /** The bytes may be a view of a buffer that the next call of any `encode` uses: copy them before. */
  readonly encode: (value: unknown) => Result.Result<Uint8Array, string>
  /** Keeps nothing of `bytes`. */
  readonly decode: (bytes: Uint8Array) => Result.Result<unknown, string>
}

/** A schema that needs no services: the only ones an engine without fibers per frame can run. */
export type PlainSchema = Schema.Codec<unknown, unknown>

const detailLength = 1000

const explain = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  return text.length > detailLength ? `${text.slice(0, detailLength)}…` : text
}

/** Effect's SchemaBinary in its positional mode: both sides must have the same `fingerprint`. Throws for a schema it cannot lay out. */
export const binary = (schema: PlainSchema, options: SchemaAST.ParseOptions): Codec => {
  const settings = { ...options, fingerprint: true }
  const { encode } = SchemaBinary.encoder(schema, settings)
  let parser = SchemaBinary.parser(schema, settings)
  return {
    encode: (value) => {
      try {
        return Result.succeed(encode(value))
      } catch (error) {
        return Result.fail(explain(error))
      }
    },
    decode: (bytes) => {
      try {
        const values = parser.feedSync(bytes)
        if (values.length === 1) return Result.succeed(values[0])
        // What the parser kept of these bytes must not meet the next ones.
        parser = SchemaBinary.parser(schema, settings)
        return Result.fail(`expected one value, and ${values.length} came`)
      } catch (error) {
        parser = SchemaBinary.parser(schema, settings)
        return Result.fail(explain(error))
      }
    }
  }
}

/** JSON in UTF-8: describes itself, so that sides whose schemas differ in what may be left out understand each other. */
export const json = (schema: PlainSchema, options: SchemaAST.ParseOptions): Codec => {
  const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeUnknownSync(codec, options)
  const decode = Schema.decodeUnknownSync(codec, options)
  const encoder = new TextEncoder()
  const decoder = new TextDecoder()
  return {
    encode: (value) => {
      try {
        return Result.succeed(encoder.encode(encode(value)))
      } catch (error) {
        return Result.fail(explain(error))
      }
    },
    decode: (bytes) => {
      try {
        return Result.succeed(decode(decoder.decode(bytes)))
      } catch (error) {
        return Result.fail(explain(error))
      }
    }
  }
}

/**
 * Stands for the binary layout of a schema: equal on both sides, each reads what the other writes. It is the frame of an empty array of
 * the schema, which carries SchemaBinary's own hash of the layout. Throws for a schema that has none.
 */
export const fingerprint = (schema: PlainSchema): string =>
  Buffer.from(SchemaBinary.encoder(Schema.Array(schema), { fingerprint: true }).encode([])).toString("hex")
