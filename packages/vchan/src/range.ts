/**
 * What callers may ask of a connection. Pure.
 */

import { Effect } from "effect"
import type { Vchan } from "./Vchan.ts"
import { PacketTooLong, VchanError } from "./VchanError.ts"

/** Throws where a buffer does not have the bytes. */
export const checkRange = (bytes: Uint8Array, offset: number, length: number): void => {
  // Bytes published beyond the buffer's end would be old content of the ring, and an index must stay a whole number.
  if (!(Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0 && length <= bytes.length - offset)) {
    throw new RangeError(`${length} bytes from ${offset} on are not in a buffer of ${bytes.length}`)
  }
}

/** A packet that no ring of that size can hold. */
export const tooLong = ({ path, peer }: Vchan, length: number, ring: number): Effect.Effect<never, VchanError> =>
  Effect.fail(new VchanError({ domid: peer, path, reason: new PacketTooLong({ length, ring }) }))
