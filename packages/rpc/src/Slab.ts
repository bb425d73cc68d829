/**
 * Memory that frames are read into or written in, again and again. Garbage when its reader or writer is.
 */
import { idleSlab } from "./Frame.ts"

/** What lies between `start` and `end` is in use. Most connections rest most of the time: a slab begins short, and grows when it has to. */
export abstract class Slab {
  protected slab = new Uint8Array(idleSlab)
  protected view = new DataView(this.slab.buffer)
  protected start = 0
  protected end = 0

  /** The bytes the slab takes. */
  get capacity(): number {
    return this.slab.length
  }

  /** Nothing has happened for a while: takes no more memory than it needs. */
  rest(): void {
    if (this.start === this.end && this.slab.length > idleSlab) this.replace(idleSlab)
  }

  /** Goes on in a slab of that length, which has room for what is in use. */
  protected replace(length: number): void {
    const slab = new Uint8Array(length)
    slab.set(this.slab.subarray(this.start, this.end))
    this.end -= this.start
    this.start = 0
    this.slab = slab
    this.view = new DataView(slab.buffer)
  }
}
