/**
 * Writes the primitive values of the binary codec into a slab, one after the other; docs/PROTOCOL.md has their layouts.
 *
 * The slab is this writer's until it grows: who has taken bytes out of it copies them before the next value is written. A value that is not
 * what it should be throws `Unfit`; what was written before it stays, and the caller sets `position` back.
 */

/** A value, or bytes, that are not what they should be. */
export class Unfit extends Error {
  override readonly name = "Unfit"
}

export const unfit = (what: string): never => {
  throw new Unfit(`expected ${what}`)
}

/** How deep values may nest that contain values of their own kind. */
export const maxNesting = 256

/** The bytes that a count takes. */
const countLength = (value: number): number => (value < 0x80 ? 1 : 1 + countLength(Math.floor(value / 0x80)))

/** Over so many bytes a slab is not kept. */
const keptLength = 1024 * 1024

export class ByteWriter {
  bytes: Buffer
  position = 0
  /** How deep the value that is written is in values of its own kind. */
  depth = 0
  private view: DataView

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Begins anew. */
  reset(): void {
    this.position = 0
    this.depth = 0
    if (this.bytes.length > keptLength) this.renew(512)
  }

  /** Makes room for that many bytes. */
  reserve(count: number): void {
    if (this.position + count > this.bytes.length) this.grow(count)
  }

  byte(value: number): void {
    if (this.position === this.bytes.length) this.grow(1)
    this.bytes[this.position++] = value
  }

  /** A whole number from 0 to 2^53 - 1: seven bits in a byte, low ones first, and the eighth says that more follow. */
  count(value: number): void {
    if (value < 0x80) return this.byte(value)
    this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.position++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.position++] = rest
  }

  number(value: unknown): void {
    if (typeof value !== "number") return unfit("a number")
    this.reserve(8)
    // A NaN that was read has its writer's bits.
    this.view.setFloat64(this.position, Number.isNaN(value) ? Number.NaN : value, true)
    this.position += 8
  }

  /** Six bits and the sign in the first byte, then as a count. */
  integer(value: unknown): void {
    if (typeof value !== "number" || !Number.isSafeInteger(value)) return unfit("an integer")
    const magnitude = Math.abs(value)
    const first = (magnitude % 0x40) | (value < 0 || Object.is(value, -0) ? 0x40 : 0)
    if (magnitude < 0x40) return this.byte(first)
    this.byte(first | 0x80)
    this.count(Math.floor(magnitude / 0x40))
  }

  boolean(value: unknown): void {
    if (typeof value !== "boolean") return unfit("a boolean")
    this.byte(value ? 1 : 0)
  }

  string(value: unknown): void {
    if (typeof value !== "string") return unfit("a text")
    const { length } = value
    // A sign of UTF-16 takes three bytes at most.
    this.reserve(3 * length + 8)
    const start = this.position
    if (length <= 12) {
      const { bytes } = this
      let index = 0
      for (; index < length; index++) {
        const code = value.charCodeAt(index)
        if (code > 0x7F) break
        bytes[start + 1 + index] = code
      }
      if (index === length) {
        bytes[start] = length
        this.position = start + 1 + length
        return
      }
    }
    // Where the text is ASCII, as most are, the length is known beforehand.
    this.count(length)
    const written = this.bytes.write(value, this.position, "utf8")
    if (written !== length) {
      if (!value.isWellFormed()) return unfit("a text without lone surrogates")
      // Its length may take more bytes than was thought, which would be the text's first.
      const from = this.position
      this.bytes.copyWithin(start + countLength(written), from, from + written)
      this.position = start
      this.count(written)
    }
    this.position += written
  }

  blob(value: unknown): void {
    if (!(value instanceof Uint8Array)) return unfit("bytes")
    const { length } = value
    this.count(length)
    this.reserve(length)
    this.bytes.set(value, this.position)
    this.position += length
  }

  /** As two's complement, low byte first, in as few bytes as hold it; none for 0. */
  bigint(value: unknown): void {
    if (typeof value !== "bigint") return unfit("a bigint")
    const hex = (value < 0n ? ~value : value).toString(16)
    // Four bits for each digit but the first, which may have less, and one for the sign.
    const bits = 4 * hex.length + 28 - Math.clz32(Number.parseInt(hex.charAt(0), 16)) + 1
    const length = value === 0n ? 0 : Math.ceil(bits / 8)
    this.count(length)
    this.reserve(length)
    const digits = BigInt.asUintN(8 * length, value).toString(16).padStart(2 * length, "0")
    const start = this.position
    this.bytes.write(digits, start, "hex")
    this.bytes.subarray(start, start + length).reverse()
    this.position += length
  }

  private grow(count: number): void {
    const { bytes, position } = this
    this.renew(Math.max(2 * bytes.length, position + count))
    this.bytes.set(bytes.subarray(0, position))
  }

  private renew(length: number): void {
    this.bytes = Buffer.allocUnsafeSlow(length)
    this.view = new DataView(this.bytes.buffer)
  }
}
