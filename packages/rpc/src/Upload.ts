/**
 * The stream that a caller gives with a call: where a payload's schema has one, and how it is taken out of a payload and put into one. The rest of
 * the payload travels with the Request, the stream's items after it. Owns nothing.
 */
import { Predicate, Result, Schema, SchemaIssue, Stream } from "effect"
import { RpcSchema } from "effect/rpc"
import type { Limits } from "./Limits.ts"

/** How a method's payload carries its stream. */
export interface Upload {
  /** Takes the stream out of a payload. */
  readonly split: (payload: unknown) => { readonly rest: unknown; readonly stream: Stream.Stream<unknown, unknown> }
  /** Puts a stream into the rest of a payload, or tells why the whole is not what the payload's schema wants. */
  readonly join: (rest: unknown, stream: Stream.Stream<unknown, unknown>) => Result.Result<unknown, string>
}

/** The same, with the schemas of its parts. */
export interface UploadSchemas extends Upload {
  readonly rest: Schema.Top
  readonly item: Schema.Top
  readonly error: Schema.Top
}

/** What a call with such a stream takes of its server's memory beside its payload: all that may have come and not been taken. */
export const uploadCharge = ({ window }: Limits): number => window + Math.ceil(window / 4)

const streamIn = (value: unknown): Stream.Stream<unknown, unknown> => {
  // The types of a definition let no streams in that need services.
  if (Stream.isStream(value)) return value as Stream.Stream<unknown, unknown>
  throw new TypeError("the payload has no stream where its schema has one")
}

/** The most letters of a reason, for the payload's own may be among them. */
const longestReason = 1000

const format = SchemaIssue.makeFormatterDefault()
const explain = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return SchemaIssue.isIssue(error.cause) ? format(error.cause).slice(0, longestReason) : error.message
}

const fieldsOf = (schema: Schema.Top): ReadonlyArray<readonly [name: string, schema: Schema.Top]> =>
  Predicate.hasProperty(schema, "fields") && Predicate.isObject(schema.fields)
    ? Object.entries(schema.fields).flatMap(([name, field]) => Schema.isSchema(field) ? [[name, field] as const] : [])
    : []

/** The stream that a payload's schema is, or has as a field; undefined where there is none. Throws where there are several. */
export const uploadOf = (schema: Schema.Top): UploadSchemas | undefined => {
  if (RpcSchema.isStreamSchema(schema)) {
    const { error, success: item } = schema
    return {
      rest: Schema.Void,
      item,
      error,
      split: (payload) => ({ rest: undefined, stream: streamIn(payload) }),
      join: (_rest, stream) => Result.succeed(stream)
    }
  }
  const fields = fieldsOf(schema)
  const streams = fields.flatMap(([name, field]) => RpcSchema.isStreamSchema(field) ? [{ name, field }] : [])
  const [first, second] = streams
  if (first === undefined) return undefined
  if (second !== undefined) throw new Error(`its payload has more than one stream: ${streams.map(({ name }) => name).join(", ")}`)
  const { field: { error, success: item }, name } = first
  return {
    rest: Schema.Struct(Object.fromEntries(fields.filter(([other]) => other !== name))),
    item,
    error,
    split: (payload) => {
      const { [name]: stream, ...rest } = { ...Predicate.isObject(payload) ? payload : {} } as Record<string, unknown>
      return { rest, stream: streamIn(stream) }
    },
    join: (rest, stream) =>
      Result.try({
        try: (): unknown => schema.make({ ...Predicate.isObject(rest) ? rest : {}, [name]: stream }),
        catch: explain
      })
  }
}
