/**
 * Bytes that tell their place in a stream: one that is lost, doubled, moved or changed is seen.
 */

/** A prime, so that no ring and no buffer is a multiple of it. */
const period = 65_521

const table = new Uint8Array(2 * period)
let state = 2_463_534_242
for (let at = 0; at < period; at++) {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  table[at] = table[at + period] = state >>> 24
}

/** The bytes of the stream from a place on, at most 65521 of them. */
export const bytesAt = (from: number, length: number): Uint8Array => table.subarray(from % period, from % period + length)

/** Whether these are the bytes of that place. */
export const areBytesAt = (from: number, bytes: Uint8Array): boolean => Buffer.compare(bytes, bytesAt(from, bytes.length)) === 0
