/**
 * The envelope: what travels with a request beside its payload. A Request with the flag `Flag.Envelope` begins with one; most have none. Pure.
 *
 * It is a u8 of bits that tell which fields follow, in this order, and the fields:
 *
 * | bit | size | field |
 * |--|--|--|
 * | 0 | u32 | the milliseconds that the call may take, from its arrival on |
 * | 1 | none | the caller wants no result: the server answers when the handler starts |
 * | 2 | 25 | the caller's span: 16 bytes of trace id, 8 of span id, and a u8, 1 where it is sampled |
 * | 3 | | a u16 of how many headers follow; for each a u16 of bytes and its name, then a u16 of bytes and its value, in UTF-8 |
 */
import { Result } from "effect"

/** The caller's span, by W3C's ids in lower-case hex. */
export interface Trace {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

/** A header's name and value. */
export type Header = readonly [name: string, value: string]

/** What travels with a request. */
export interface Envelope {
  /** The milliseconds that the call may take. */
  readonly timeout?: number | undefined
  readonly discard?: boolean | undefined
  readonly trace?: Trace | undefined
  readonly headers?: ReadonlyArray<Header> | undefined
}

/** An envelope as it came, with the rest of the body, a view. */
export interface Opened {
  readonly envelope: Envelope
  /** The bytes of the headers. */
  readonly headersLength: number
  readonly payload: Uint8Array
}

const Field = { Timeout: 1, Discard: 2, Trace: 4, Headers: 8 } as const
const known = 0x0F
const traceIdLength = 16
const traceLength = 25
const longest = 0xFFFF_FFFF
const longestText = 0xFFFF

/** Whether ids have the shape that the wire carries; a tracer may make others. */
export const isTrace = ({ spanId, traceId }: Trace): boolean => /^[0-9a-f]{32}$/.test(traceId) && /^[0-9a-f]{16}$/.test(spanId)

/** The bytes of headers; undefined where there are too many of them, or one is too long, for the wire. */
export const encodeHeaders = (headers: ReadonlyArray<Header>): Uint8Array | undefined => {
  const texts = headers.flat().map((text) => Buffer.from(text))
  if (headers.length > longestText || texts.some(({ length }) => length > longestText)) return undefined
  const bytes = Buffer.alloc(2 + texts.reduce((sum, { length }) => sum + 2 + length, 0))
  let at = bytes.writeUInt16LE(headers.length)
  for (const text of texts) at = bytes.writeUInt16LE(text.length, at) + text.copy(bytes, at + 2)
  return bytes
}

/** The bytes of an envelope; `headers` are those of `encodeHeaders`. */
export const encodeEnvelope = (envelope: Omit<Envelope, "headers">, headers?: Uint8Array): Uint8Array => {
  const { discard, timeout, trace } = envelope
  const length = 1 + (timeout === undefined ? 0 : 4) + (trace === undefined ? 0 : traceLength) + (headers?.length ?? 0)
  const bytes = Buffer.alloc(length)
  let fields = discard === true ? Field.Discard : 0
  let at = 1
  if (timeout !== undefined) {
    fields |= Field.Timeout
    at = bytes.writeUInt32LE(Math.min(Math.ceil(timeout), longest), at)
  }
  if (trace !== undefined) {
    fields |= Field.Trace
    bytes.write(trace.traceId + trace.spanId, at, "hex")
    bytes[at + traceLength - 1] = Number(trace.sampled)
    at += traceLength
  }
  if (headers !== undefined) {
    fields |= Field.Headers
    bytes.set(headers, at)
  }
  bytes[0] = fields
  return bytes
}

/** Reads the envelope that a body begins with, whatever its bytes are, or tells what is wrong. */
export const decodeEnvelope = (body: Uint8Array): Result.Result<Opened, string> => {
  const fields = body[0]
  if (fields === undefined) return Result.fail("an envelope of no bytes")
  if ((fields & ~known) !== 0) return Result.fail(`an envelope with the unknown fields ${fields & ~known}`)
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  const has = (field: number): boolean => (fields & field) !== 0
  let at = 1
  /** Where the next bytes of that length are; undefined where they are not. */
  const take = (length: number): number | undefined => {
    const start = at
    at += length
    return at <= bytes.length ? start : undefined
  }
  const short = Result.fail("an envelope cut short")
  let timeout: number | undefined
  if (has(Field.Timeout)) {
    const start = take(4)
    if (start === undefined) return short
    timeout = bytes.readUInt32LE(start)
  }
  let trace: Trace | undefined
  if (has(Field.Trace)) {
    const start = take(traceLength)
    if (start === undefined) return short
    const ids = bytes.toString("hex", start, start + traceLength - 1)
    trace = { traceId: ids.slice(0, traceIdLength * 2), spanId: ids.slice(traceIdLength * 2), sampled: bytes[at - 1] === 1 }
  }
  const beforeHeaders = at
  const texts: Array<string> = []
  if (has(Field.Headers)) {
    const start = take(2)
    if (start === undefined) return short
    const count = bytes.readUInt16LE(start) * 2
    while (texts.length < count) {
      const size = take(2)
      const text = size === undefined ? undefined : take(bytes.readUInt16LE(size))
      if (text === undefined) return short
      texts.push(bytes.toString("utf8", text, at))
    }
  }
  const headers = texts.flatMap((name, index): Array<Header> => index % 2 === 0 ? [[name, texts[index + 1] ?? ""]] : [])
  const envelope = { timeout, discard: has(Field.Discard), trace, headers }
  return Result.succeed({ envelope, headersLength: at - beforeHeaders, payload: body.subarray(at) })
}
