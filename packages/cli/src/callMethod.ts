/**
 * Calls one method of a service that is known by its own description alone, for `vchan call`.
 *
 * The connection belongs to the call: interrupting this ends the handler in the other domain.
 */
import { Deadline, Reflection, relativeServicePath, VchanRpcClient, VchanRpcError } from "@vchan/rpc"
import { type DomId, printable } from "@vchan/xen"
import { Cause, Console, Duration, Effect, Option, Result, Schema, Stdio, Stream } from "effect"
import { OutputClosed } from "./pipe.ts"
import { renderMethod, visible } from "./renderShape.ts"
import { endAs } from "./untilStopped.ts"

/** The call cannot be made as it was asked for. */
export class CallMisuse extends Schema.TaggedError<CallMisuse>()("CallMisuse", {
  detail: Schema.String
}) {
  override get message(): string {
    return visible(this.detail)
  }
}

/** The call was made and ended otherwise than well: what to tell, and the exit code that says how. */
class CallEnded extends Schema.TaggedError<CallEnded>()("CallEnded", {
  text: Schema.String,
  code: Schema.Literals([2, 3, 4, 5, 6])
}) {}

const endOf = (error: VchanRpcError): CallEnded => {
  const text = `vchan: ${error.message}`
  switch (error.reason._tag) {
    case "DeadlineExceeded":
      return new CallEnded({ text, code: 4 })
    case "ConnectFailed":
    case "ConnectionLost":
    case "HandshakeRefused":
    case "HandshakeTimeout":
    case "PeerSilent":
    case "ProtocolViolation":
      return new CallEnded({ text, code: 5 })
    default:
      return new CallEnded({ text, code: 3 })
  }
}

type AnySchema = Schema.Codec<unknown, unknown>

/** A value as the JSON that its schema makes of it, in one line. */
const line = (schema: AnySchema) => {
  const encode = Schema.encodeUnknownSync(Schema.toCodecJson(schema))
  return (value: unknown): string => JSON.stringify(encode(value))
}

const splitName = (name: string) =>
  Effect.try({
    try: () => {
      const [service = "", ...method] = name.split(".")
      relativeServicePath(service)
      if (method.length === 0) throw new RangeError(`${name} names no method of it, \`vchan services\` does`)
      return { service, name: method.join(".") }
    },
    catch: (error) => new CallMisuse({ detail: `name what to call as service.method: ${error instanceof Error ? error.message : name}` })
  })

/** What the JSON tells, if the schema takes it. */
const parse = Effect.fnUntraced(function*(what: string, schema: AnySchema, text: string) {
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => new CallMisuse({ detail: `the ${what} is no JSON: ${error instanceof Error ? error.message : String(error)}` })
  })
  const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(schema), { errors: "all", onExcessProperty: "error" })
  return yield* Effect.mapError(decode(json), ({ message }) => {
    const where = message.replaceAll(/\n +/g, " ").replaceAll("\n", "; ")
    return new CallMisuse({ detail: `the ${what} is not what the method takes: ${where}` })
  })
})

/** The items that standard input tells, a line of JSON each. A line that is none ends the call. */
const itemsFromInput = (input: Stream.Stream<Uint8Array, unknown>, schema: AnySchema): Stream.Stream<unknown> =>
  Stream.decodeText(input).pipe(
    Stream.splitLines,
    Stream.filter((line) => line.trim() !== ""),
    Stream.mapEffect((line) => parse("item", schema, line)),
    Stream.orDie
  )

/** The whole of what the method takes. */
const payloadFrom = Effect.fnUntraced(function*(schema: AnySchema, text: string) {
  const { stdin } = yield* Stdio.Stdio
  const upload = Reflection.uploadingOf(schema)
  if (upload === undefined) {
    return yield* parse("payload", schema, text === "-" ? yield* Stream.mkString(Stream.decodeText(stdin)) : text)
  }
  if (text === "-") {
    return yield* new CallMisuse({
      detail: "standard input brings the items of the stream that the method takes: give the payload as an argument"
    })
  }
  const rest = yield* parse("payload", upload.rest, text)
  const joined = upload.join(rest, itemsFromInput(stdin, upload.item))
  return Result.isSuccess(joined) ? joined.success : yield* new CallMisuse({ detail: joined.failure })
})

/** A method known by its description: its schemas, and its calls as streams of what they give. */
const methodNamed = Effect.fnUntraced(function*(target: VchanRpcClient.Options, name: string) {
  const { service } = target
  const methods = yield* Reflection.describe(target)
  const method = methods.find((method) => method.name === name)
  if (method === undefined) {
    const names = methods.map(({ name }) => name).join(", ")
    return yield* new CallMisuse({ detail: `${service} has no method ${JSON.stringify(name)}${names === "" ? "" : `, but ${names}`}` })
  }
  const { streams, unary } = Reflection.groupsOf([method])
  const signature = renderMethod(name, method.shapes)
  const one = unary.requests.get(name)
  if (one !== undefined) {
    const calls = Effect.map(
      VchanRpcClient.make(unary, target),
      (client) => (payload: unknown, options: CallOptions) => Stream.fromEffect(client[name]?.(payload, options) ?? Effect.never)
    )
    return { payload: one.payloadSchema, success: one.successSchema, error: one.errorSchema, calls, signature }
  }
  const many = streams.requests.get(name)
  if (many === undefined) return yield* new CallMisuse({ detail: `${service} tells no schemas of ${name} that it could be called by` })
  const calls = Effect.map(
    VchanRpcClient.make(streams, target),
    (client) => (payload: unknown, options: CallOptions) => client[name]?.(payload, options) ?? Stream.never
  )
  return { payload: many.payloadSchema, success: many.successSchema.success, error: many.successSchema.error, calls, signature }
})

interface CallOptions {
  readonly headers: Readonly<Record<string, string>>
}

/** How long connecting may take. */
const patience = Duration.seconds(5)

export const callMethod = Effect.fnUntraced(
  function*(flags: {
    readonly domain: DomId
    readonly method: string
    readonly payload: string
    readonly header: Readonly<Record<string, string>>
    readonly timeout: Option.Option<Duration.Duration>
  }) {
    const allowed = Option.getOrElse(flags.timeout, () => Duration.infinity)
    const { name, service } = yield* splitName(flags.method)
    const target = { domain: flags.domain, service, timeout: Duration.min(allowed, patience), reconnect: false } as const
    const { calls, error, payload, signature, success } = yield* Effect.catchTag(
      methodNamed(target, name),
      "VchanRpcError",
      (error) => endOf(error)
    )
    const value = yield* Effect.mapError(
      payloadFrom(payload, flags.payload),
      (error) => error._tag === "CallMisuse" ? new CallMisuse({ detail: `${error.detail}. The method is ${signature}` }) : error
    )
    const call = yield* Effect.mapError(calls, endOf)
    const toJson = line(success)
    const lines = call(value, { headers: flags.header }).pipe(
      Stream.map(toJson),
      Stream.catchCause((cause) => Stream.fail(endingOf(cause, line(error))))
    )
    const { stdout } = yield* Stdio.Stdio
    const print = (text: string) =>
      Effect.mapError(Stream.run(Stream.succeed(`${visible(text)}\n`), stdout({ endOnDone: false })), () => new OutputClosed())
    yield* Deadline.within(Stream.runForEach(lines, print), allowed)
  },
  Effect.scoped,
  Effect.catchTag("CallEnded", ({ code, text }) => Effect.andThen(Console.error(visible(text)), endAs(code)))
)

/** How a call ended, of which nothing more will come. */
const endingOf = (cause: Cause.Cause<unknown>, toJson: (error: unknown) => string): CallEnded | CallMisuse => {
  const error = Cause.findErrorOption(cause)
  if (Option.isSome(error)) {
    return error.value instanceof VchanRpcError ? endOf(error.value) : new CallEnded({ text: toJson(error.value), code: 2 })
  }
  const defect = Cause.squash(cause)
  if (defect instanceof CallMisuse) return defect
  return new CallEnded({
    text: `vchan: the handler died: ${printable(defect instanceof Error ? defect.message : String(defect))}`,
    code: 6
  })
}
