/**
 * Codecs: values of a schema as bytes and back, in the binary form that docs/PROTOCOL.md lays out or in JSON. Owns a slab that it uses again.
 *
 * Both directions are total: a value the schema refuses, or bytes that no honest peer sends, give a failure that says what is wrong. The
 * schemas are run synchronously; one that needs services or waits is refused by the types or fails each value.
 */
import { Result, Schema, type SchemaAST } from "effect"
import * as crypto from "node:crypto"
import { ByteReader, tooMany } from "./ByteReader.ts"
import { ByteWriter } from "./ByteWriter.ts"
import { compilePlan } from "./compilePlan.ts"
import { decoderOf, encoderOf } from "./interpretPlan.ts"
import { jsonOf, parseJson } from "./jsonText.ts"
import type { MethodShapes } from "./MethodShapes.ts"
import type { PlainSchema, Plan } from "./Plan.ts"
import { planOf } from "./planOf.ts"
import { type Decode, type Encode, messageOf } from "./planValues.ts"
import { shortened } from "./printable.ts"

/** Values of one schema as bytes. */
export interface Codec {
  /** The bytes may be a view of a buffer that the next call of any `encode` uses: copy them before. */
  readonly encode: (value: unknown) => Result.Result<Uint8Array, string>
  /** Keeps nothing of `bytes`. `maxMessage` is what the reader's side takes at most; 4 MiB where it is left out. */
  readonly decode: (bytes: Uint8Array, maxMessage?: number) => Result.Result<unknown, string>
}

/**
 * How many values a message may have that are not plain, beside those that a schema names one by one. They take bytes or none, and up to some
 * microseconds of the reader's time, in which it does nothing else. A stream's chunk may always have as many as it has bytes.
 */
const mostValues = (maxMessage = 4 * 1024 * 1024): number => 16 * 1024 + Math.floor(maxMessage / 32)

const explain = (error: unknown): string => shortened(messageOf(error))

/** Both directions of a plan. */
interface Functions {
  readonly encode: Encode
  readonly decode: Decode
}

/** By functions that call each other. */
export const interpreted = (plan: Plan): Functions => ({ encode: encoderOf(plan), decode: decoderOf(plan) })

/** By generated code, or where that is forbidden as `interpreted`. */
export const generated = (plan: Plan): Functions => {
  try {
    return compilePlan(plan)
  } catch (error) {
    if (error instanceof EvalError) return interpreted(plan)
    throw error
  }
}

/** The binary codec of a schema: the other side must have the same shape. Throws for a schema that has no form for JSON. */
export const binary = (schema: PlainSchema, options: SchemaAST.ParseOptions, functionsOf = generated): Codec => {
  const plan = planOf(schema, options)
  const { decode, encode } = functionsOf(plan)
  // A value's own code may use the codec again while it is in use.
  let idleWriter: ByteWriter | undefined = new ByteWriter(512)
  let idleReader: ByteReader | undefined = new ByteReader()

  const write = (value: unknown, encode: Encode): Uint8Array => {
    const writer = idleWriter ?? new ByteWriter(512)
    idleWriter = undefined
    writer.reset()
    try {
      encode(writer, value)
      // No Buffer, whose `slice` does not copy.
      return new Uint8Array(writer.bytes.buffer, 0, writer.position)
    } finally {
      idleWriter = writer
    }
  }

  const read = (bytes: Uint8Array, maxMessage: number | undefined, decode: Decode): unknown => {
    const reader = idleReader ?? new ByteReader()
    idleReader = undefined
    reader.reset(bytes, mostValues(maxMessage))
    try {
      const value = decode(reader)
      reader.finish()
      return value
    } finally {
      reader.release()
      idleReader = reader
    }
  }

  /** Functions that call each other know where they are: what fails is done again by them, to tell. */
  const attempt = <A>(run: () => A, again: () => A): Result.Result<A, string> => {
    try {
      return Result.succeed(run())
    } catch (error) {
      try {
        again()
      } catch (located) {
        return Result.fail(explain(located))
      }
      return Result.fail(explain(error))
    }
  }

  let telling: Functions | undefined
  const tell = () => (telling ??= interpreted(plan))
  return {
    encode: (value) => attempt(() => write(value, encode), () => write(value, tell().encode)),
    decode: (bytes, maxMessage) => attempt(() => read(bytes, maxMessage, decode), () => read(bytes, maxMessage, tell().decode))
  }
}

/** JSON in UTF-8: describes itself, so that sides whose schemas differ in what may be left out understand each other. */
export const json = (schema: PlainSchema, options: SchemaAST.ParseOptions): Codec => {
  const codec = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownSync(codec, options)
  const decode = Schema.decodeUnknownSync(codec, options)
  const encoder = new TextEncoder()
  const decoder = new TextDecoder()
  return {
    encode: (value) => {
      try {
        return Result.succeed(encoder.encode(jsonOf(encode(value))))
      } catch (error) {
        return Result.fail(explain(error))
      }
    },
    decode: (bytes, maxMessage) => {
      try {
        return Result.succeed(decode(parseJson(decoder.decode(bytes), (count) => (count > mostValues(maxMessage) ? tooMany() : undefined))))
      } catch (error) {
        return Result.fail(explain(error))
      }
    }
  }
}

/** Stands for a method's shapes: of two sides that have the same, each reads what the other writes in the binary codec. */
export const fingerprintOf = (shapes: MethodShapes): string =>
  crypto.createHash("sha256").update(JSON.stringify(shapes)).digest("hex").slice(0, 32)
