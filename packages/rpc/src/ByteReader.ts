/**
 * Reads the primitive values of the binary codec, strictly: each value has one form, and any other bytes throw `Unfit`.
 *
 * It belongs to a codec, is set on the bytes of one message at a time, and keeps nothing of them: what it gives is its own.
 */
import { isUtf8 } from "node:buffer"
import { Unfit, unfit } from "./ByteWriter.ts"

export const tooMany = (): never =>
  unfit("fewer values in one message: send them as a stream, or let its receiver take a larger maxMessage")

export class ByteReader {
  position = 0
  end = 0
  /** How deep the value that is read is in values of its own kind. */
  depth = 0
  /** How many more values may come that are not plain, but for those that the schema names one by one. */
  private left = 0
  private bytes: Buffer = Buffer.alloc(0)
  private view: DataView = new DataView(this.bytes.buffer)

  /** Begins with a message, which may have that many values in lists that are not plain. */
  reset(message: Uint8Array, most: number): void {
    this.left = most
    if (message.buffer !== this.view.buffer) {
      // Messages come out of one slab, mostly: its views are kept.
      this.bytes = Buffer.from(message.buffer)
      this.view = new DataView(message.buffer)
    }
    this.position = message.byteOffset
    this.end = message.byteOffset + message.length
    this.depth = 0
  }

  /** Lets go of a buffer that is too large to be kept. */
  release(): void {
    if (this.bytes.length > 1024 * 1024) {
      this.bytes = Buffer.alloc(0)
      this.view = new DataView(this.bytes.buffer)
    }
  }

  /** Takes that many values, which may need no byte each and much time, from what the message may have. */
  spend(count: number): void {
    this.left -= count
    if (this.left < 0) tooMany()
  }

  byte(): number {
    const value = this.position < this.end ? this.bytes[this.position] : undefined
    if (value === undefined) return unfit("more bytes")
    this.position++
    return value
  }

  count(): number {
    const first = this.byte()
    if (first < 0x80) return first
    let value = first - 0x80
    let scale = 0x80
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7F) * scale
      if (value > Number.MAX_SAFE_INTEGER) return unfit("a smaller number")
      if (byte < 0x80) return byte === 0 ? unfit("a number in its shortest form") : value
      scale *= 0x80
    }
  }

  /** A count of what takes a byte at least: there cannot be more than bytes. */
  length(): number {
    const count = this.count()
    return count > this.end - this.position ? unfit("no more than there are bytes") : count
  }

  number(): number {
    const at = this.skip(8)
    return this.view.getFloat64(at, true)
  }

  integer(): number {
    const first = this.byte()
    let magnitude = first & 0x3F
    if (first >= 0x80) {
      const rest = this.count()
      if (rest === 0) return unfit("an integer in its shortest form")
      magnitude += rest * 0x40
      if (magnitude > Number.MAX_SAFE_INTEGER) return unfit("an integer within ±(2^53 - 1)")
    }
    return (first & 0x40) === 0 ? magnitude : -magnitude
  }

  boolean(): boolean {
    const byte = this.byte()
    return byte > 1 ? unfit("a boolean") : byte === 1
  }

  string(): string {
    const length = this.length()
    const start = this.skip(length)
    const { bytes } = this
    if (length <= 6) {
      let text = ""
      let index = start
      for (; index < start + length; index++) {
        const code = bytes[index] ?? 0
        if (code > 0x7F) break
        text += String.fromCharCode(code)
      }
      if (index === start + length) return text
    }
    const text = bytes.toString("utf8", start, start + length)
    // What is no UTF-8 becomes that sign, which may also have been sent.
    if (text.includes("\uFFFD") && !isUtf8(bytes.subarray(start, start + length))) return unfit("UTF-8")
    return text
  }

  blob(): Uint8Array {
    const length = this.length()
    const start = this.skip(length)
    // So short ones need no memory outside of V8's heap, which takes ten times as long to get.
    if (length <= 64) return new Uint8Array(this.bytes.subarray(start, start + length))
    return new Uint8Array(this.bytes.buffer.slice(start, start + length))
  }

  bigint(): bigint {
    const length = this.length()
    const start = this.skip(length)
    if (length === 0) return 0n
    const digits = Buffer.from(this.bytes.subarray(start, start + length)).reverse()
    const [first = 0, second = 0] = digits
    const isShortest = length === 1 ? first !== 0 : !((first === 0 && second < 0x80) || (first === 0xFF && second >= 0x80))
    if (!isShortest) return unfit("a bigint in its shortest form")
    return BigInt.asIntN(8 * length, BigInt(`0x${digits.toString("hex")}`))
  }

  /** Ends the message. */
  finish(): void {
    if (this.position !== this.end) throw new Unfit("more bytes came than the value has")
  }

  private skip(count: number): number {
    const start = this.position
    if (count > this.end - start) return unfit("more bytes")
    this.position = start + count
    return start
  }
}
