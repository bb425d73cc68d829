/**
 * Writes frames. Pure; garbage when its session is.
 */
import { busySlab, countedHeaderLength, headerLength, keptSlab } from "./Frame.ts"
import { Slab } from "./Slab.ts"

/** Bytes that frames are written to: has the shape of `Vchan`'s own `writeUnsafe`. */
export interface FrameSink {
  readonly writeUnsafe: (bytes: Uint8Array, offset: number, length: number) => number
}

/** Gathers frames to be written, so that many cost one write. */
export class FrameWriter extends Slab {
  /** The bytes that were ever written. */
  total = 0

  /** The bytes that wait to be written. */
  get length(): number {
    return this.end - this.start
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

  /** Writes a frame past the slab, which must be empty, and keeps there what the sink does not take. `total` goes before the body. */
  through(sink: FrameSink, frame: {
    readonly type: number
    readonly flags: number
    readonly method: number
    readonly id: number
    readonly total: number | undefined
    readonly body: Uint8Array
  }): void {
    const { body, flags, id, method, total, type } = frame
    this.header(type | flags << 8, method, id, body.length + (total === undefined ? 0 : 4), 4)
    if (total !== undefined) {
      this.view.setUint32(this.end, total, true)
      this.end += 4
    }
    if (!this.write(sink)) return this.append(body)
    let taken = 0
    while (taken < body.length) {
      const count = sink.writeUnsafe(body, taken, body.length - taken)
      if (count === 0) return this.append(body.subarray(taken))
      taken += count
      this.total += count
    }
    this.clear()
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
    if (!this.write(sink)) return false
    this.clear()
    return true
  }

  /** Drops what waits. */
  clear(): void {
    this.start = 0
    this.end = 0
    if (this.slab.length > keptSlab) this.replace(busySlab)
  }

  private write(sink: FrameSink): boolean {
    while (this.start < this.end) {
      const count = sink.writeUnsafe(this.slab, this.start, this.end - this.start)
      if (count === 0) return false
      this.start += count
      this.total += count
    }
    return true
  }

  private header(type: number, method: number, id: number, bodyLength: number, kept = bodyLength): void {
    this.reserve(headerLength + kept)
    const view = this.view
    const at = this.end
    view.setUint32(at, countedHeaderLength + bodyLength, true)
    view.setUint32(at + 4, type | method << 16, true)
    view.setUint32(at + 8, id, true)
    this.end = at + headerLength
  }

  private append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.slab.set(bytes, this.end)
    this.end += bytes.length
  }

  private reserve(count: number): void {
    if (this.end + count <= this.slab.length) return
    const waiting = this.end - this.start
    if (waiting + count <= this.slab.length / 2) {
      this.slab.copyWithin(0, this.start, this.end)
    } else {
      return this.replace(Math.max(this.slab.length * 2, waiting + count))
    }
    this.start = 0
    this.end = waiting
  }
}
