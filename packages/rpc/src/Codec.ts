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
import type { PlainSchema, Plan, Transformation } from "./Plan.ts"
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

/**
 * The binary codec of a schema that has a shape: the other side must have the same. Nothing is made of the schema before the first value: a
 * client of a hundred domains calls few methods of each.
 */
export const binary = (schema: PlainSchema, options: SchemaAST.ParseOptions, functionsOf = generated): Codec => {
  let made: Functions | undefined
  const functions = () => (made ??= functionsOf(planOf(schema, options)))
  // A value's own code may use the codec again while it is in use.
  let idleWriter: ByteWriter | undefined
  let idleReader: ByteReader | undefined

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
  const tell = () => (telling ??= interpreted(planOf(schema, options)))
  return {
    encode: (value) => attempt(() => write(value, functions().encode), () => write(value, tell().encode)),
    decode: (bytes, maxMessage) => attempt(() => read(bytes, maxMessage, functions().decode), () => read(bytes, maxMessage, tell().decode))
  }
}

/** JSON in UTF-8: describes itself, so that sides whose schemas differ in what may be left out understand each other. */
export const json = (schema: PlainSchema, options: SchemaAST.ParseOptions): Codec => {
  let made: Transformation | undefined
  const functions = () => {
    if (made !== undefined) return made
    const codec = Schema.toCodecJson(schema)
    return made = { encode: Schema.encodeUnknownSync(codec, options), decode: Schema.decodeUnknownSync(codec, options) }
  }
  const attempt = <A>(run: () => A): Result.Result<A, string> => {
    try {
      return Result.succeed(run())
    } catch (error) {
      return Result.fail(explain(error))
    }
  }
  return {
    encode: (value) => attempt(() => new TextEncoder().encode(jsonOf(functions().encode(value)))),
    decode: (bytes, maxMessage) =>
      attempt(() => {
        const value = parseJson(new TextDecoder().decode(bytes), (count) => (count > mostValues(maxMessage) ? tooMany() : undefined))
        return functions().decode(value)
      })
  }
}

/** Stands for a method's shapes: of two sides that have the same, each reads what the other writes in the binary codec. */
export const fingerprintOf = (shapes: MethodShapes): string =>
  crypto.createHash("sha256").update(JSON.stringify(shapes)).digest("hex").slice(0, 32)
