/**
 * What all ways of running a plan share. Pure.
 */
import { Cause, Schema, SchemaIssue } from "effect"
import type { ByteReader } from "./ByteReader.ts"
import { type ByteWriter, Unfit, unfit } from "./ByteWriter.ts"
import type { FieldPlan, Test } from "./Plan.ts"

/** Writes a value. Throws where it does not fit. */
export type Encode = (writer: ByteWriter, value: unknown) => void
/** Reads a value. Throws where the bytes are not one. */
export type Decode = (reader: ByteReader) => unknown

/** What an error says of a value: where Effect wraps what a schema found, or what broke in it, the one within. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof RangeError && error.message.includes("call stack")) return "expected values that nest less deep"
  if (SchemaIssue.isIssue(error.cause)) return new Schema.SchemaError(error.cause).message
  return Cause.isCause(error.cause) ? messageOf(Cause.squash(error.cause)) : error.message
}

/** Tells where it was, on the way out. */
export const at = (key: string | number, error: unknown): Unfit => {
  const message = messageOf(error)
  const [, what = message, path = ""] = /^([^]*)\n {2}at (\[[^\n]*)$/.exec(message) ?? []
  // Nobody reads a path any further.
  return new Unfit(`${what}\n  at [${JSON.stringify(key)}]${path.slice(0, 1000)}`)
}

/** Does a part, and tells of which part it was where that fails. */
export const within = <A>(key: string | number, run: () => A): A => {
  try {
    return run()
  } catch (error) {
    throw at(key, error)
  }
}

/** Whether an object has a field, as Effect sees it. */
export const has = (value: object, name: string): boolean => (name === "__proto__" ? Object.hasOwn(value, name) : name in value)

/** Sets a field, whatever its name. */
export const set = (object: Record<string, unknown>, name: string, value: unknown): void => {
  if (name === "__proto__") Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  else object[name] = value
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const testOf = (test: Test): (value: unknown) => boolean => {
  if ("is" in test) return test.is
  if ("field" in test) return (value) => isObject(value) && value[test.field] === test.equals
  if ("equals" in test) return (value) => value === test.equals
  switch (test.kind) {
    case "undefined":
      return (value) => value === undefined
    case "null":
      return (value) => value === null
    case "bytes":
      return (value) => value instanceof Uint8Array
    case "array":
      return (value) => Array.isArray(value)
    case "object":
      return (value) => isObject(value) && !(value instanceof Uint8Array)
    default:
      return (value) => typeof value === test.kind
  }
}

/** In an array a value that takes no bytes has one, so that a count never promises more than has come. */
export const pad = (writer: ByteWriter, start: number): void => {
  if (writer.position === start) writer.byte(0)
}

export const unpad = (reader: ByteReader, start: number): void => {
  if (reader.position === start && reader.byte() !== 0) unfit("a zero byte for an empty value")
}

/** The names of the fields that may be left out. */
export const optionalOf = (fields: ReadonlyArray<FieldPlan>): ReadonlyArray<string> =>
  fields.flatMap(({ name, optional }) => (optional ? [name] : []))

/** Reads the fields that the schema does not name. */
export const readRest = (reader: ByteReader, object: Record<string, unknown>, named: ReadonlySet<string>, rest: Decode): void => {
  const count = reader.length()
  reader.spend(count)
  for (let index = 0; index < count; index++) {
    const key = reader.string()
    if (named.has(key) || Object.hasOwn(object, key)) return unfit("each field once")
    set(object, key, within(key, () => rest(reader)))
  }
}
