/**
 * Frames: how calls are cut into bytes. Plain data; `FrameReader` and `FrameWriter` are at work with it.
 *
 * A frame is a header of 12 bytes and a body. All numbers are little-endian:
 *
 * | offset | size | field |
 * |--|--|--|
 * | 0 | u32 | length of what follows this field: 8 and the body's bytes |
 * | 4 | u8 | type, see `FrameType` |
 * | 5 | u8 | flags, see `Flag` |
 * | 6 | u16 | the method's index in the client's Hello; 0 where the type needs none |
 * | 8 | u32 | the call's id; 0 where the type needs none |
 */

/** What a frame is. The numbers are the wire's. */
export const FrameType = {
  /** First frame each way: see `Hello`. */
  Hello: 1,
  /** The sender closes the connection; the body tells why. */
  Goodbye: 2,
  /** Client: starts a call; the body is its payload. */
  Request: 3,
  /** Client: the caller no longer wants the call. Server: the handler no longer wants the caller's stream. */
  Interrupt: 4,
  /** A u32 of stream bytes that were taken. */
  Credit: 5,
  /** Server: the call's value. Ends the call. */
  Success: 6,
  /** Server: the call's typed error. Ends the call. Client: the typed error of the caller's stream, which ends it. */
  Failure: 7,
  /** Server: the handler died; the body is what may be told. Ends the call. */
  Defect: 8,
  /** Server: the engine, not the handler, answers; the body tells why. Ends the call. */
  Refusal: 9,
  /** Some items of a stream. */
  Chunk: 10,
  /** The stream is complete. Server: ends the call. */
  End: 11,
  /** The sender asks whether the receiver lives. */
  Ping: 12,
  /** Answers all Pings before it. */
  Pong: 13,
  /** Server: takes no new calls, and closes soon. Client, in answer: has no call in flight, and makes none any more. */
  GoingAway: 14
} as const

/** The bits of a frame's flags. */
export const Flag = {
  /** The body is a segment, and more of the message follow. */
  More: 1,
  /** Of a Request: the body begins with an envelope, see `Envelope`. */
  Envelope: 2
} as const

/** The most bytes of a frame's body, after the Hello: a longer message is cut in segments. 64 KiB fit, with what is around them. */
export const maxBody = 66 * 1024

/** The bytes of a header. */
export const headerLength = 12

/** The bytes of a header that the length field counts. */
export const countedHeaderLength = 8

/** What a chunk takes of the window: its bytes, and one for each item, for there are items of no bytes. */
export const chunkCost = (bytes: number, items: number): number => bytes + items

/** What a Credit's body gives; undefined where it is none. */
export const creditOf = (body: Uint8Array): number | undefined =>
  body.length === 4 ? new DataView(body.buffer, body.byteOffset).getUint32(0, true) : undefined

/** The length of a slab that frames are read or written in, at first and while nothing happens: most connections rest most of the time. */
export const idleSlab = 512

/** The length of a busy connection's slab; longer ones are for longer frames alone. */
export const busySlab = 8 * 1024

/** The longest slab that is kept. */
export const keptSlab = 256 * 1024
