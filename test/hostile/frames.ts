/**
 * What a hostile peer sends over a vchan, as plain data: frames in any order, right ones and broken ones. docs/PROTOCOL.md, told again here.
 *
 * A frame type that is new to the protocol gets a row in `frameTypes`, and a sample of its body.
 */
import * as fc from "fast-check"
import { bodies, methods, service } from "./contract.ts"

type Side = "client" | "server"
type Codec = "binary" | "json"

/** Every frame type: its number, who may send it, and what its body may be. */
const frameTypes = {
  Hello: { type: 1, from: "both", body: () => fc.oneof(rightHello("json"), badHello) },
  Goodbye: { type: 2, from: "both", body: () => goodbye },
  Request: { type: 3, from: "client", body: () => payload("payload") },
  Interrupt: { type: 4, from: "both", body: () => nothing },
  Credit: { type: 5, from: "both", body: () => fc.oneof({ weight: 4, arbitrary: fc.nat(20) }, u32).map(number) },
  Success: { type: 6, from: "server", body: () => payload("success") },
  Failure: { type: 7, from: "both", body: () => fc.oneof(fc.constant(text("{\"code\":7}")), payload("success")) },
  Defect: {
    type: 8,
    from: "server",
    body: () => fc.oneof(fc.constant(text("{\"name\":\"Error\",\"message\":\"told\"}")), nothing, strange)
  },
  Refusal: { type: 9, from: "server", body: () => refusal },
  Chunk: { type: 10, from: "both", body: () => fc.oneof(payload("success"), payload("items")) },
  End: { type: 11, from: "both", body: () => nothing },
  Ping: { type: 12, from: "both", body: () => nothing },
  Pong: { type: 13, from: "both", body: () => nothing },
  GoingAway: { type: 14, from: "both", body: () => nothing }
} satisfies Record<string, { readonly type: number; readonly from: Side | "both"; readonly body: () => fc.Arbitrary<Uint8Array> }>

/** One thing to do. */
export type FrameAction =
  | {
    readonly does: "frame"
    readonly type: number
    readonly flags: number
    readonly method: number
    readonly id: number
    /** Puts this before the body, and the flag that tells so. */
    readonly envelope: Uint8Array | undefined
    /** Is for a call that came instead: the `id`-th, where there is one. Without any nothing is sent. */
    readonly real: boolean
    /** What the length field says, where it lies. */
    readonly length: number | undefined
    readonly body: Uint8Array
  }
  /** A message in segments: what is told of its length, and how long each segment is. */
  | {
    readonly does: "segments"
    readonly type: number
    readonly flags: number
    readonly method: number
    readonly id: number
    readonly real: boolean
    /** Their sum, where nothing else is told. */
    readonly total: number | undefined
    readonly pieces: ReadonlyArray<number>
    readonly ends: boolean
  }
  /** As an honest client: calls a method. */
  | { readonly does: "request"; readonly method: number; readonly id: number; readonly envelope: Uint8Array | undefined }
  /** As an honest peer: answers the `id`-th call that came, or gives the items of the one that was made. */
  | { readonly does: "answer"; readonly id: number }
  | { readonly does: "bytes"; readonly bytes: Uint8Array }
  /** Reads what comes, or no more. */
  | { readonly does: "listen"; readonly reads: boolean }
  | { readonly does: "wait"; readonly turns: number }

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const number = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

const nothing = fc.constant(new Uint8Array(0))
const edges = [0, 1, 2, 7, 8, 9, 255, 1024, 4096, 65535, 65536, 67584, 67592, 67593, 131072, 262144, 4194304, 0x7FFF_FFFF, 0xFFFF_FFFF]
const u32 = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 0xFFFF_FFFF }), fc.nat(5000))

/** JSON that is small where it is sent, or means something to JavaScript. */
const strangeJson = [
  "[".repeat(10_000) + "]".repeat(10_000),
  "{\"a\":".repeat(5000) + "1" + "}".repeat(5000),
  "{\"tree\":" + "{\"branches\":[".repeat(2000) + "]}".repeat(2000) + "}",
  `[${"[],".repeat(5000)}0]`,
  `{"value":${"[".repeat(5000)}${"]".repeat(5000)},"record":{}}`,
  "{\"value\":1,\"record\":{\"__proto__\":{\"polluted\":1},\"constructor\":{\"prototype\":{\"polluted\":1}}}}",
  "{\"__proto__\":{\"text\":\"x\",\"polluted\":1}}",
  "{\"constructor\":{\"prototype\":{\"polluted\":1}},\"text\":\"x\"}",
  "{\"text\":\"\\ud800\"}",
  "{\"length\":1e999}",
  "{\"to\":-1}",
  "{\"to\":9007199254740993}",
  "{\"data\":\"not base64!\"}",
  "null",
  "",
  "\u0000"
].map(text)

const strange = fc.oneof(fc.constantFrom(...strangeJson), fc.json().map(text), fc.uint8Array({ maxLength: 200 }))

/** Some bytes, of which some were changed, cut off or added. */
const spoilt = (right: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(right, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.option(fc.nat()), fc.uint8Array({ maxLength: 5 })).map(
    ([right, changes, cut, more]) => {
      const bytes = right.slice(0, cut === null ? right.length : cut % (right.length + 1))
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value
      return join(bytes, more)
    }
  )

const payload = (which: "payload" | "success" | "items"): fc.Arbitrary<Uint8Array> => {
  const right = fc.constantFrom(...bodies.flatMap((each) => [each[which].binary, each[which].json]))
  return fc.oneof({ weight: 12, arbitrary: right }, { weight: 3, arbitrary: spoilt(right) }, strange)
}

const names = ["a", "", "__proto__", "constructor", "b3", "x-vchan"]
const header = fc.tuple(fc.constantFrom(...names), fc.oneof(fc.string({ maxLength: 30 }), fc.constant("y".repeat(2000))))
const short = (value: string) => join(number(text(value).length).subarray(0, 2), text(value))
const envelope = fc.record({
  timeout: fc.option(u32),
  discard: fc.boolean(),
  trace: fc.option(fc.uint8Array({ minLength: 25, maxLength: 25 })),
  headers: fc.option(fc.array(header, { maxLength: 5 }))
}).map(({ discard, headers, timeout, trace }) => {
  const bits = Number(timeout !== null) | Number(discard) << 1 | Number(trace !== null) << 2 | Number(headers !== null) << 3
  const none = new Uint8Array(0)
  const listed = headers?.flatMap(([name, value]) => [short(name), short(value)]) ?? []
  return join(
    Uint8Array.of(bits),
    timeout === null ? none : number(timeout),
    trace ?? none,
    headers === null ? none : number(headers.length).subarray(0, 2),
    ...listed
  )
})
const enveloping = fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: 3, arbitrary: envelope }, spoilt(envelope))

const tag = fc.constantFrom(
  "UnknownMethod",
  "BadPayload",
  "MessageTooLarge",
  "TooManyCalls",
  "DeadlineExceeded",
  "Interrupted",
  "HandshakeRefused",
  "ProtocolViolation",
  "__proto__",
  "constructor"
)
const told = fc.record({
  _tag: tag,
  detail: fc.oneof(fc.string(), fc.constant("d".repeat(50_000)), fc.constant(null)),
  limit: u32,
  length: u32,
  what: fc.constantFrom("payload", "nonsense"),
  by: fc.constantFrom("this side", "the peer", "nobody"),
  allowedMillis: fc.oneof(u32, fc.constant(-1))
}).map((told) => text(JSON.stringify(told)))
const refusal = fc.oneof({ weight: 3, arbitrary: told }, strange)
const goodbye = refusal

const limit = fc.oneof(
  fc.constantFrom<unknown>(0, -1, 1, 1.5, "1", null, 1e308, 1023, 1024, 65536, 2 ** 20, 2 ** 28, 2 ** 30, 2 ** 32 - 1),
  u32
)
const rightLimits = { maxMessage: 131_072, maxCalls: 64, window: 4096, maxHeaders: 1024, memory: 262_144 }
const smallLimits = { maxMessage: 1024, maxCalls: 1, window: 1024, maxHeaders: 0, memory: 1024 }
const hugeLimits = { maxMessage: 2 ** 30, maxCalls: 2 ** 32 - 1, window: 2 ** 28, maxHeaders: 2 ** 20, memory: 2 ** 32 - 1 }
const entries = (fingerprint: (own: string) => string) =>
  methods.map((method) => ({ name: method.name, fingerprint: fingerprint(method.fingerprint) }))
const helloOf = (version: number, json: string) => join(text("vchanrpc"), Uint8Array.of(version & 255, version >> 8), text(json))
const told1 = (limits: unknown, listed: unknown, name: unknown = service) =>
  helloOf(1, JSON.stringify({ service: name, limits, methods: listed }))

/** Hellos that an honest peer would answer, with limits that one may tell. */
const rightHello = (codec: Codec): fc.Arbitrary<Uint8Array> => {
  const listed = codec === "binary" ? entries((own) => own) : entries(() => "")
  return fc.constantFrom(...[rightLimits, rightLimits, smallLimits, hugeLimits].map((limits) => told1(limits, listed)))
}
const badHello: fc.Arbitrary<Uint8Array> = fc.oneof(
  spoilt(rightHello("json")),
  fc.constant(told1(rightLimits, entries((own) => own.replace(/.$/, "0")))),
  fc.record({ maxMessage: limit, maxCalls: limit, window: limit, maxHeaders: limit, memory: limit }).map((limits) =>
    told1(limits, entries(() => ""))
  ),
  fc.constantFrom(
    told1(rightLimits, [], "other"),
    told1(rightLimits, [], "__proto__"),
    told1(rightLimits, names.map((name) => ({ name, fingerprint: name }))),
    told1(rightLimits, Array.from({ length: 7000 }, () => ({ name: "Say", fingerprint: "" }))),
    told1(rightLimits, {}),
    helloOf(2, "{}"),
    ...strangeJson.map((json) => helloOf(1, new TextDecoder().decode(json)))
  )
)
/** The first word of a connection, right or wrong, and the codec that right bodies are in after it. */
export interface Greeting {
  readonly codec: Codec
  readonly hello: Uint8Array | undefined
}

/** A Hello of a server that tells of these methods. */
export const helloTelling = (methods: unknown): Uint8Array => told1(rightLimits, methods)

/** A Hello that any client or server of the contract talks to. */
export const honestGreeting = (codec: Codec): Greeting => ({
  codec,
  hello: told1(rightLimits, entries((own) => codec === "binary" ? own : ""))
})

export const greeting: fc.Arbitrary<Greeting> = fc.constantFrom<Codec>("binary", "json").chain((codec) =>
  fc.record({
    codec: fc.constant(codec),
    hello: fc.oneof({ weight: 30, arbitrary: rightHello(codec) }, { weight: 4, arbitrary: badHello }, fc.constant(undefined))
  })
)

/** A frame type's name. */
export const nameOf = (type: number): string => Object.entries(frameTypes).find(([, row]) => row.type === type)?.[0] ?? String(type)

const rows = Object.values(frameTypes)
const id = fc.oneof({ weight: 4, arbitrary: fc.nat(6) }, fc.constantFrom(0xFFFF_FFFF, 0x8000_0000))
const method = fc.oneof({ weight: 80, arbitrary: fc.nat(methods.length - 1) }, fc.constantFrom(methods.length, 255, 65535))
const real = fc.oneof({ weight: 20, arbitrary: fc.constant(true) }, fc.constant(false))

const frame = (side: Side): fc.Arbitrary<FrameAction> => {
  const own = rows.filter(({ from, type }) => type !== frameTypes.Hello.type && (from === side || from === "both"))
  const others = rows.filter(({ from, type }) => type === frameTypes.Hello.type || (from !== side && from !== "both"))
  const of = (rows: ReadonlyArray<(typeof own)[number]>) =>
    fc.constantFrom(...rows).chain(({ body, type }) =>
      fc.record({
        does: fc.constant("frame" as const),
        type: fc.constant<number>(type),
        flags: fc.oneof({ weight: 60, arbitrary: fc.constant(0) }, fc.nat(255)),
        method,
        id,
        real: type === frameTypes.Request.type ? fc.constant(false) : real,
        envelope: type === frameTypes.Request.type ? enveloping : fc.constant(undefined),
        length: fc.oneof({ weight: 100, arbitrary: fc.constant(undefined) }, u32),
        body: body()
      })
    )
  const unknown = fc.record({
    does: fc.constant("frame" as const),
    type: fc.nat(255),
    flags: fc.nat(3),
    method,
    id,
    real,
    envelope: fc.constant(undefined),
    length: fc.constant(undefined),
    body: fc.uint8Array({ maxLength: 20 })
  })
  return fc.oneof({ weight: 60, arbitrary: of(own) }, of(others), unknown)
}

const segments = (side: Side): fc.Arbitrary<FrameAction> =>
  fc.record({
    does: fc.constant("segments" as const),
    type: fc.constantFrom(...side === "client" ? [3, 3, 3, 4] : [6, 7, 8, 10, 11]),
    flags: fc.constantFrom(0, 0, 0, 2),
    method,
    id,
    real: side === "server" ? real : fc.constant(false),
    total: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, fc.integer({ min: 65_537, max: 131_072 }), u32),
    pieces: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom([65_532, 100], [30_000, 35_000, 3000], [65_532, 65_536, 4], [65_532]) },
      fc.array(fc.oneof(fc.nat(100), fc.constantFrom(0, 1, 65_532, 65_536)), { maxLength: 4 })
    ),
    ends: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false))
  })

const answer: fc.Arbitrary<FrameAction> = fc.record({ does: fc.constant("answer"), id: fc.nat(6) })
const right: Record<Side, fc.Arbitrary<FrameAction>> = {
  client: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        does: fc.constant("request"),
        method: fc.nat(methods.length - 1),
        id: fc.nat(500),
        envelope: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, envelope)
      })
    },
    answer
  ),
  server: answer
}

/** Anything that a client, or a server, may send after its Hello, and much that it may not. */
export const frameAction = (side: Side): fc.Arbitrary<FrameAction> =>
  fc.oneof(
    { weight: 40, arbitrary: frame(side) },
    { weight: 40, arbitrary: right[side] },
    { weight: 6, arbitrary: segments(side) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant("bytes" as const), bytes: fc.uint8Array({ maxLength: 100 }) }) },
    { weight: 4, arbitrary: fc.record({ does: fc.constant("listen" as const), reads: fc.boolean() }) },
    { weight: 20, arbitrary: fc.record({ does: fc.constant("wait" as const), turns: fc.integer({ min: 1, max: 4 }) }) }
  )

/** A frame's bytes. */
export const frameBytes = (frame: {
  readonly type: number
  readonly flags: number
  readonly method: number
  readonly id: number
  readonly envelope?: Uint8Array | undefined
  readonly length?: number | undefined
  readonly body: Uint8Array
}): Uint8Array => {
  const { envelope, id, method, type } = frame
  const flags = envelope === undefined ? frame.flags : frame.flags | 2
  const body = envelope === undefined ? frame.body : join(envelope, frame.body)
  const { length = 8 + body.length } = frame
  const bytes = new Uint8Array(12 + body.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length, true)
  view.setUint8(4, type)
  view.setUint8(5, flags)
  view.setUint16(6, method, true)
  view.setUint32(8, id, true)
  bytes.set(body, 12)
  return bytes
}

/** A right call of a method. */
export const requestBytes = (action: Extract<FrameAction, { readonly does: "request" }>, codec: Codec): Uint8Array =>
  frameBytes({ ...action, type: frameTypes.Request.type, flags: 0, body: bodies[action.method]?.payload[codec] ?? new Uint8Array(0) })

interface Call {
  readonly id: number
  readonly method: number
}

const streamBytes = (call: Call, body: Uint8Array): ReadonlyArray<Uint8Array> =>
  [{ type: frameTypes.Chunk.type, body }, { type: frameTypes.End.type, body: new Uint8Array(0) }].map((frame) =>
    frameBytes({ ...call, ...frame, flags: 0 })
  )

/** A right answer to a call. */
export const answerBytes = (call: Call, codec: Codec): ReadonlyArray<Uint8Array> => {
  const body = bodies[call.method]?.success[codec] ?? new Uint8Array(0)
  return methods[call.method]?.isStream === true
    ? streamBytes(call, body)
    : [frameBytes({ ...call, type: frameTypes.Success.type, flags: 0, body })]
}

/** The items of a call that takes some; none at all where it does not. */
export const uploadBytes = (call: Call, codec: Codec): ReadonlyArray<Uint8Array> =>
  methods[call.method]?.upload === undefined ? [] : streamBytes(call, bodies[call.method]?.items[codec] ?? new Uint8Array(0))

/** The frames of a message in segments. */
export const segmentBytes = (action: Extract<FrameAction, { readonly does: "segments" }>): ReadonlyArray<Uint8Array> => {
  const { ends, flags, pieces, total = pieces.reduce((sum, length) => sum + length, 0) } = action
  return pieces.map((length, at) => {
    const isLast = ends && at === pieces.length - 1
    const body = new Uint8Array(length).fill(0x20)
    return frameBytes({
      ...action,
      length: undefined,
      flags: isLast ? flags : flags | 1,
      body: at === 0 ? join(number(total), body) : body
    })
  })
}
