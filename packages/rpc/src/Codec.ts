/**
 * Codecs: values of a schema as bytes and back, in the binary form that docs/PROTOCOL.md lays out or in JSON. Owns a slab that it uses again.
 *
 * Both directions are total: a value the schema refuses, or bytes that no honest peer sends, give a failure that says what is wrong. The
 * schemas are run synchronously; one that needs services or waits is refused by the types or fails each value.
 */
import { shortened } from "@vchan/xen"
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
  // Values of one schema often take as many bytes as the one before.
  let last: Uint8Array = new Uint8Array(0)

  const write = (value: unknown, encode: Encode): Uint8Array => {
    const writer = idleWriter ?? new ByteWriter(512)
    idleWriter = undefined
    writer.reset()
    try {
      encode(writer, value)
      const { bytes: { buffer }, position } = writer
      // No Buffer, whose `slice` does not copy.
      return last.length === position && last.buffer === buffer ? last : (last = new Uint8Array(buffer, 0, position))
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
  const why = (error: unknown, again: (functions: Functions) => unknown): Result.Result<never, string> => {
    try {
      again(telling ??= interpreted(planOf(schema, options)))
    } catch (located) {
      return Result.fail(explain(located))
    }
    return Result.fail(explain(error))
  }
  let telling: Functions | undefined
  // Not within the calls below: what a function's inner ones use is allocated in each of its calls.
  const whyNotWritten = (error: unknown, value: unknown) => why(error, ({ encode }) => write(value, encode))
  const whyNotRead = (error: unknown, bytes: Uint8Array, maxMessage: number | undefined) =>
    why(error, ({ decode }) => read(bytes, maxMessage, decode))

  return {
    encode: (value) => {
      try {
        return Result.succeed(write(value, functions().encode))
      } catch (error) {
        return whyNotWritten(error, value)
      }
    },
    decode: (bytes, maxMessage) => {
      try {
        return Result.succeed(read(bytes, maxMessage, functions().decode))
      } catch (error) {
        return whyNotRead(error, bytes, maxMessage)
      }
    }
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
