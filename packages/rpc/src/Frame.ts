/**
 * Frames: how calls are cut into bytes. Pure; owns nothing but its two buffers, which are garbage when their session is.
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
  /** Client: the caller no longer wants the call. */
  Interrupt: 4,
  /** Client: a u32 of stream bytes that were taken. */
  Credit: 5,
  /** Server: the call's value. Ends the call. */
  Success: 6,
  /** Server: the call's typed error. Ends the call. */
  Failure: 7,
  /** Server: the handler died; the body is what may be told. Ends the call. */
  Defect: 8,
  /** Server: the engine, not the handler, answers; the body tells why. Ends the call. */
  Refusal: 9,
  /** Server: some items of a stream. */
  Chunk: 10,
  /** Server: the stream is complete. Ends the call. */
  End: 11,
  /** The sender asks whether the receiver lives. */
  Ping: 12,
  /** Answers all Pings before it. */
  Pong: 13
} as const

/** The bits of a frame's flags. */
export const Flag = {
  /** Of a Request: the body begins with an envelope, see `Envelope`. */
  Envelope: 2
} as const

/** The bytes of a header. */
export const headerLength = 12

/** The bytes of a header that the length field counts. */
export const countedHeaderLength = 8

/** What a chunk takes of the window: its bytes, and one for each item, for there are items of no bytes. */
export const chunkCost = (bytes: number, items: number): number => bytes + items

const firstSlab = 8 * 1024
const keptSlab = 256 * 1024

/** Bytes that frames are read from: has the shape of `Vchan`'s own `readUnsafe`. */
export interface FrameSource {
  readonly readUnsafe: (buffer: Uint8Array, offset: number, length: number) => number
}

/** Bytes that frames are written to: has the shape of `Vchan`'s own `writeUnsafe`. */
export interface FrameSink {
  readonly writeUnsafe: (bytes: Uint8Array, offset: number, length: number) => number
}

/**
 * Finds frames in bytes that come in any cuts. The slab grows with the bytes that have come, never with what a length field promises, and
 * never beyond one frame of the length allowed.
 */
export class FrameReader {
  /** The frame that `next` found. `body` is a view of the slab: use it before the next call of `next` or `fill`. */
  type = 0
  flags = 0
  method = 0
  id = 0
  body: Uint8Array = new Uint8Array(0)
  /** The bytes that were ever read. */
  total = 0

  private slab = new Uint8Array(firstSlab)
  private view = new DataView(this.slab.buffer)
  private start = 0
  private end = 0
  private limit: number

  /** `limit`: the most that a length field may say. */
  constructor(limit: number) {
    this.limit = limit
  }

  /** Changes what a length field may say, from the next frame on. */
  setLimit(limit: number): void {
    this.limit = limit
  }

  /** Takes what the source has and the slab can hold; returns how many bytes came. */
  fill(source: FrameSource): number {
    this.makeRoom()
    const count = source.readUnsafe(this.slab, this.end, this.slab.length - this.end)
    this.end += count
    this.total += count
    return count
  }

  /** Moves to the next whole frame: true when there is one, false when more bytes are needed, and the reason when the bytes are no frame. */
  next(): boolean | string {
    const buffered = this.end - this.start
    if (buffered < 4) return false
    const length = this.view.getUint32(this.start, true)
    if (length < countedHeaderLength) return `a frame's length is ${length}, shorter than its header`
    if (length > this.limit) return `a frame's length is ${length}, over the limit of ${this.limit} bytes`
    if (buffered < 4 + length) return false
    const start = this.start
    this.type = this.view.getUint8(start + 4)
    this.flags = this.view.getUint8(start + 5)
    this.method = this.view.getUint16(start + 6, true)
    this.id = this.view.getUint32(start + 8, true)
    this.body = this.slab.subarray(start + headerLength, start + 4 + length)
    this.start = start + 4 + length
    return true
  }

  /** The bytes the slab takes. */
  get capacity(): number {
    return this.slab.length
  }

  private makeRoom(): void {
    const buffered = this.end - this.start
    if (buffered === 0) {
      this.start = 0
      this.end = 0
      if (this.slab.length > keptSlab) this.replace(firstSlab)
      return
    }
    // Half a slab is room enough: moving the rest for each fill would cost more than it gains.
    if (this.end < this.slab.length / 2) return
    if (buffered === this.slab.length) {
      this.replace(Math.max(this.slab.length, Math.min(this.slab.length * 2, 4 + this.limit)))
    } else if (this.start > 0) {
      this.slab.copyWithin(0, this.start, this.end)
      this.start = 0
      this.end = buffered
    }
  }

  private replace(length: number): void {
    const slab = new Uint8Array(length)
    slab.set(this.slab.subarray(this.start, this.end))
    this.end -= this.start
    this.start = 0
    this.slab = slab
    this.view = new DataView(slab.buffer)
  }
}

/** Gathers frames to be written, so that many cost one write. */
export class FrameWriter {
  /** The bytes that were ever written. */
  total = 0

  private slab = new Uint8Array(firstSlab)
  private view = new DataView(this.slab.buffer)
  private start = 0
  private end = 0

  /** The bytes that wait to be written. */
  get length(): number {
    return this.end - this.start
  }

  /** The bytes the slab takes. */
  get capacity(): number {
    return this.slab.length
  }

  /** Adds a frame with a body of its own. */
  frame(type: number, method: number, id: number, body: Uint8Array): void {
    this.header(type, method, id, body.length)
    this.append(body)
  }

  /** Adds a frame with flags, whose body is in two parts. */
  flagged(type: number, flags: number, method: number, id: number, first: Uint8Array, rest: Uint8Array): void {
    this.header(type | flags << 8, method, id, first.length + rest.length)
    this.append(first)
    this.append(rest)
  }

  /** Adds a frame without a body. */
  empty(type: number, method: number, id: number): void {
    this.header(type, method, id, 0)
  }

  /** Adds a frame whose body is one u32. */
  number(type: number, method: number, id: number, value: number): void {
    this.header(type, method, id, 4)
    this.view.setUint32(this.end, value, true)
    this.end += 4
  }

  /** Writes what the sink takes; true when nothing is left. */
  drain(sink: FrameSink): boolean {
    while (this.start < this.end) {
      const count = sink.writeUnsafe(this.slab, this.start, this.end - this.start)
      if (count === 0) return false
      this.start += count
      this.total += count
    }
    this.clear()
    return true
  }

  /** Drops what waits. */
  clear(): void {
    this.start = 0
    this.end = 0
    if (this.slab.length > keptSlab) {
      this.slab = new Uint8Array(firstSlab)
      this.view = new DataView(this.slab.buffer)
    }
  }

  private header(type: number, method: number, id: number, bodyLength: number): void {
    this.reserve(headerLength + bodyLength)
    const view = this.view
    const at = this.end
    view.setUint32(at, countedHeaderLength + bodyLength, true)
    view.setUint32(at + 4, type | method << 16, true)
    view.setUint32(at + 8, id, true)
    this.end = at + headerLength
  }

  private append(bytes: Uint8Array): void {
    this.slab.set(bytes, this.end)
    this.end += bytes.length
  }

  private reserve(count: number): void {
    if (this.end + count <= this.slab.length) return
    const waiting = this.end - this.start
    if (waiting + count <= this.slab.length / 2) {
      this.slab.copyWithin(0, this.start, this.end)
    } else {
      const slab = new Uint8Array(Math.max(this.slab.length * 2, waiting + count))
      slab.set(this.slab.subarray(this.start, this.end))
      this.slab = slab
      this.view = new DataView(slab.buffer)
    }
    this.start = 0
    this.end = waiting
  }
}
