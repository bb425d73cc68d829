/**
 * Buffers of long messages that are used again: what is allocated outside of the heap for each message costs a collection of all garbage every
 * few hundred of them. Pure; belongs to a session, and is garbage when that is. A session that has nothing to do for a while clears it.
 */

/** The most bytes that are kept. */
const keptLength = 1024 * 1024

/** A buffer's length is a multiple of this, so that messages of about the same length share them. */
const step = 4096

export class BufferPool {
  private readonly free: Array<ArrayBuffer> = []
  private kept = 0

  /** That many bytes, of any content. */
  take(length: number): Uint8Array {
    for (let index = this.free.length - 1; index >= 0; index--) {
      const buffer = this.free[index]
      if (buffer === undefined || buffer.byteLength < length) continue
      const last = this.free.pop()
      if (last !== undefined && last !== buffer) this.free[index] = last
      this.kept -= buffer.byteLength
      return new Uint8Array(buffer, 0, length)
    }
    return new Uint8Array(new ArrayBuffer(Math.ceil(length / step) * step), 0, length)
  }

  /** Takes back what `take` gave, which nobody may use any more. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || this.kept + buffer.byteLength > keptLength) return
    this.kept += buffer.byteLength
    this.free.push(buffer)
  }

  /** Keeps nothing more. */
  clear(): void {
    this.free.length = 0
    this.kept = 0
  }
}
