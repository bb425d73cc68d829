/**
 * The envelope: what travels with a request beside its payload. A Request with the flag `Flag.Envelope` begins with one; most have none. Pure.
 *
 * It is a u8 of bits that tell which fields follow, in this order, and the fields:
 *
 * | bit | size | field |
 * |--|--|--|
 * | 0 | u32 | the milliseconds that the call may take, from its arrival on |
 */
import { Result } from "effect"

/** What travels with a request. */
export interface Envelope {
  /** The milliseconds that the call may take. */
  readonly timeout?: number | undefined
}

const Field = { Timeout: 1 } as const
const known = Field.Timeout

const longest = 0xFFFF_FFFF

/** The bytes of an envelope. */
export const encodeEnvelope = ({ timeout }: Envelope): Uint8Array => {
  const bytes = new Uint8Array(timeout === undefined ? 1 : 5)
  const view = new DataView(bytes.buffer)
  if (timeout !== undefined) {
    bytes[0] = Field.Timeout
    view.setUint32(1, Math.min(Math.ceil(timeout), longest), true)
  }
  return bytes
}

/** Reads the envelope that a body begins with, whatever its bytes are, and gives the rest of the body, a view; or tells what is wrong. */
export const decodeEnvelope = (body: Uint8Array): Result.Result<{ readonly envelope: Envelope; readonly payload: Uint8Array }, string> => {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const fields = body[0]
  if (fields === undefined) return Result.fail("an envelope of no bytes")
  if ((fields & ~known) !== 0) return Result.fail(`an envelope with the unknown fields ${fields & ~known}`)
  let at = 1
  let timeout: number | undefined
  if ((fields & Field.Timeout) !== 0) {
    if (body.length < at + 4) return Result.fail("an envelope cut short")
    timeout = view.getUint32(at, true)
    at += 4
  }
  return Result.succeed({ envelope: { timeout }, payload: body.subarray(at) })
}
