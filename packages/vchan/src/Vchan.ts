/**
 * A vchan: one open connection between two domains, a ring of bytes each way.
 *
 * It belongs to the Scope it was opened in. Closing the Scope clears this side's live byte, rings the peer, and ends every mapping, share,
 * port and watch. When the peer ends first, what it wrote is read to the last byte, then each call fails with the reason. There is no
 * half-close: the protocol has none.
 */
import type { DomId } from "@vchan/xen"
import type { Effect, Sink, Stream } from "effect"
import type { VchanError } from "./VchanError.ts"

/** Callbacks for code that lives below fibers. They run on the JavaScript thread and must not throw. */
export interface VchanListener {
  /** Bytes may be read: called for as long as some are left. */
  readonly readable: () => void
  /** There is space again, after `wantSpaceUnsafe`. */
  readonly writable: () => void
  /** The connection ended, and every byte that came before has been offered to `readable`. Called once. */
  readonly ended: (error: VchanError) => void
}

/** An open connection. Its `readInto`, `receive` and `stream` exclude each other and `listenUnsafe`: one reader at a time. */
export interface Vchan {
  readonly role: "server" | "client"
  /** The peer's domid, as the hypervisor vouches for it. */
  readonly peer: DomId
  /** Where both met in XenStore. */
  readonly path: string
  /** The size in bytes of the ring this side reads. */
  readonly readRing: number
  /** The size in bytes of the ring this side writes. */
  readonly writeRing: number

  /** Stream-based: waits for at least one byte, reads up to `buffer.length`, returns how many. */
  readonly readInto: (buffer: Uint8Array) => Effect.Effect<number, VchanError>
  /** Stream-based: writes all of `bytes`, waiting for space where needed. Interrupted, it may have written a part. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, VchanError>
  /** As `write` of one buffer after the other, which nothing comes between: many small ones cost little more than one. */
  readonly writeAll: (buffers: ReadonlyArray<Uint8Array>) => Effect.Effect<void, VchanError>
  /** Packet-based: fills the whole of `buffer` at once, or fails with `PacketTooLong` or the end's reason. */
  readonly receive: (buffer: Uint8Array) => Effect.Effect<void, VchanError>
  /** Packet-based: writes all of `bytes` at once or nothing. */
  readonly send: (bytes: Uint8Array) => Effect.Effect<void, VchanError>
  /** All that comes, until the peer closes (the stream ends) or the connection breaks (it fails). */
  readonly stream: Stream.Stream<Uint8Array, VchanError>
  /** Writes all that a stream emits, each chunk of it as `writeAll`. */
  readonly sink: Sink.Sink<void, Uint8Array, never, VchanError>
  /** Waits until the connection has ended, and tells why. */
  readonly ended: Effect.Effect<VchanError>

  /** How many bytes can be read now. */
  readonly availableUnsafe: () => number
  /** Reads up to `length` bytes now; 0 when there are none, or when the connection has ended. */
  readonly readUnsafe: (buffer: Uint8Array, offset: number, length: number) => number
  /** How many bytes can be written now. */
  readonly spaceUnsafe: () => number
  /** Writes up to `length` bytes now and publishes them; 0 when the ring is full or the connection has ended. */
  readonly writeUnsafe: (bytes: Uint8Array, offset: number, length: number) => number
  /** Asks for one call of `writable` once there is space. */
  readonly wantSpaceUnsafe: () => void
  /** Takes the connection over from the calls above. Calls `readable` soon if bytes are there, `ended` soon if it has ended. */
  readonly listenUnsafe: (listener: VchanListener) => void
}
