/**
 * Reads frames. Pure; garbage when its session is.
 */
import { busySlab, countedHeaderLength, headerLength, keptSlab } from "./Frame.ts"
import { Slab } from "./Slab.ts"

/** Bytes that frames are read from: has the shape of `Vchan`'s own `readUnsafe`. */
export interface FrameSource {
  readonly readUnsafe: (buffer: Uint8Array, offset: number, length: number) => number
}

const nothing = new Uint8Array(0)

/**
 * Finds frames in bytes that come in any cuts. The slab grows with the bytes that have come, never with what a length field promises, and
 * never beyond `busySlab` or one frame of the length allowed.
 */
export class FrameReader extends Slab {
  /** The frame that `next` found. `body` is a view of the slab: use it before the next call of `next` or `fill`. */
  type = 0
  flags = 0
  method = 0
  id = 0
  body: Uint8Array = nothing
  /** The bytes that were ever read. */
  total = 0

  private limit: number

  /** `limit`: the most that a length field may say. */
  constructor(limit: number) {
    super()
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

  override rest(): void {
    // The last frame's view would keep a longer slab.
    this.body = nothing
    super.rest()
  }

  private makeRoom(): void {
    const buffered = this.end - this.start
    // The last fill may have left some to come.
    const isTight = this.end === this.slab.length && this.slab.length < busySlab
    if (buffered === 0) {
      this.start = 0
      this.end = 0
      if (this.slab.length > keptSlab) this.replace(busySlab)
    }
    if (isTight) return this.replace(2 * this.slab.length)
    if (buffered === 0) return
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
}
