/**
 * One ring of bytes, seen from its producer's or its consumer's end. No I/O: memory is given, and ringing the peer is the caller's.
 *
 * The memory belongs to whoever mapped it; after `close` no method touches it any more. The peer may write any byte of it at any time: its
 * index is read once in each operation and checked, the own index is private, and data is copied out, never looked at in place.
 *
 * Indexes are free-running u32: they wrap at 2^32, are masked with size - 1 where used, and their difference is what lies in the ring.
 * Wherever an ordering between memory accesses is needed, an Atomics call makes it: those are sequentially consistent.
 */
import { Buffer } from "node:buffer"

/** The bits of a notify byte: "tell me when you wrote", "tell me when you consumed". */
export const notifyBit = { write: 1, read: 2 } as const

/** Where a ring and its indexes lie. */
export interface RingMemory {
  /** The shared page's indexes. */
  readonly indexes: Int32Array
  /** The shared page's header. */
  readonly header: Uint8Array
  /** The ring: a power of two in length. */
  readonly data: Uint8Array
  /** The places of both indexes in `indexes`. */
  readonly cons: number
  readonly prod: number
  /** The byte of `header` in which this side asks its peer to ring. */
  readonly askAt: number
  /** The byte of `header` in which the peer asks this side to ring: tested and cleared here. */
  readonly askedAt: number
}

/** Stands in for a ring's memory after its end. */
const ended = (): RingMemory => ({
  indexes: new Int32Array(2),
  header: new Uint8Array(2),
  data: new Uint8Array(0),
  cons: 0,
  prod: 1,
  askAt: 0,
  askedAt: 1
})

// Faster than subarray and set, which allocate a view for each part. A whole array costs less by its `set`: nothing is checked in C++.
const copy = Buffer.prototype.copy

/** The bytes of small buffers that are published together at most: the peer works on them while more are copied. */
const publishLength = 16 * 1024

const takeNotify = (memory: RingMemory, bit: number): boolean =>
  // The publishing store before this load is sequentially consistent, and so is the load: a peer that asked and then saw the old index has
  // set the bit before this load. Looking first spares the dearer test-and-clear.
  (Atomics.load(memory.header, memory.askedAt) & bit) !== 0 &&
  (Atomics.and(memory.header, memory.askedAt, ~bit & 0xFF) & bit) !== 0

const request = (memory: RingMemory, bit: number): void => {
  Atomics.or(memory.header, memory.askAt, bit)
}

/** What both ends have in common. */
abstract class End {
  /** The ring's size in bytes. */
  readonly size: number
  /** The own index: where the next byte goes to or comes from. */
  position: number
  /** The peer's index minus the own, or the other way round, where that was more than the ring holds: from then on nothing moves. */
  corrupt: number | undefined
  private halted = false
  protected memory: RingMemory
  protected readonly mask: number

  constructor(memory: RingMemory, position: number) {
    this.size = memory.data.length
    this.mask = this.size - 1
    this.memory = memory
    this.position = position >>> 0
  }

  /** Lets go of the memory: from now on nothing can be read, written or asked. */
  close(): void {
    this.halted = true
    this.memory = ended()
  }

  /** What lies in the ring, or undefined where nothing may move any more. */
  protected checked(used: number): number | undefined {
    if (this.halted) return undefined
    if (used <= this.size) return used
    this.halted = true
    this.corrupt = used
    return undefined
  }
}

/** The writing end. */
export class Producer extends End {
  /** Goes on where the shared index is, or at `position`. */
  constructor(memory: RingMemory, position: number = Atomics.load(memory.indexes, memory.prod)) {
    super(memory, position)
  }

  /** Whether the peer has consumed up to this place, and no further. */
  isConsumedTo(position: number): boolean {
    return Atomics.load(this.memory.indexes, this.memory.cons) >>> 0 === position >>> 0
  }

  /** How many bytes may be written now. */
  space(): number {
    const used = (this.position - Atomics.load(this.memory.indexes, this.memory.cons)) >>> 0
    return this.free(used)
  }

  /**
   * Writes up to `length` bytes and publishes them; nothing at all where fewer than `least` have space. Returns how many.
   */
  write(bytes: Uint8Array, offset: number, length: number, least = 0): number {
    const memory = this.memory
    // A plain load will do: the copy into the ring depends on its value, and stores do not overtake a load they depend on.
    const used = (this.position - (memory.indexes[memory.cons] ?? 0)) >>> 0
    const free = this.free(used)
    if (free < least) return 0
    const count = length < free ? length : free
    if (count === 0) return 0
    const at = this.position & this.mask
    const first = this.size - at
    if (count > first) {
      copy.call(bytes, memory.data, at, offset, offset + first)
      copy.call(bytes, memory.data, 0, offset + first, offset + count)
    } else if (count === bytes.length) {
      memory.data.set(bytes, at)
    } else {
      copy.call(bytes, memory.data, at, offset, offset + count)
    }
    this.publish(count)
    return count
  }

  /**
   * Writes buffers whole, from the `index`-th on, until one does not fit or enough are written for the peer to begin with, and publishes them
   * together. Returns how many.
   */
  writeEach(buffers: ReadonlyArray<Uint8Array>, index: number): number {
    const { data, cons, indexes } = this.memory
    // As in `write`.
    const free = this.free((this.position - (indexes[cons] ?? 0)) >>> 0)
    const most = free < publishLength ? free : publishLength
    // Nothing can be said to be written any more where the ring has ended, not even nothing.
    if (free === 0) return 0
    let written = 0
    let next = index
    for (; next < buffers.length; next++) {
      const bytes = buffers[next]
      if (bytes === undefined) break
      const { length } = bytes
      if (written + length > most) break
      const at = (this.position + written) & this.mask
      const first = this.size - at
      if (length > first) {
        copy.call(bytes, data, at, 0, first)
        copy.call(bytes, data, 0, first, length)
      } else {
        data.set(bytes, at)
      }
      written += length
    }
    if (written > 0) this.publish(written)
    return next - index
  }

  /** Asks the peer to ring when it consumed. The caller looks at `space` again before it sleeps. */
  request(): void {
    request(this.memory, notifyBit.read)
  }

  /** Whether the peer has asked to be rung for what was just written; asked once, answered once. */
  takeNotify(): boolean {
    return takeNotify(this.memory, notifyBit.write)
  }

  private free(used: number): number {
    return this.size - (this.checked(used) ?? this.size)
  }

  private publish(count: number): void {
    this.position = (this.position + count) >>> 0
    // A peer that sees the new index sees the bytes copied before it.
    Atomics.store(this.memory.indexes, this.memory.prod, this.position | 0)
  }
}

/** The reading end. */
export class Consumer extends End {
  private end: number | undefined

  /** Goes on where the shared index is, or at `position`. */
  constructor(memory: RingMemory, position: number = Atomics.load(memory.indexes, memory.cons)) {
    super(memory, position)
  }

  /** How many bytes may be read now. */
  available(): number {
    // Orders the copy out of the ring after it: bytes published with this index are seen.
    const prod = this.end ?? Atomics.load(this.memory.indexes, this.memory.prod)
    return this.checked((prod - this.position) >>> 0) ?? 0
  }

  /** Reads up to `length` bytes; nothing at all where fewer than `least` are there. Returns how many. */
  read(into: Uint8Array, offset: number, length: number, least = 0): number {
    const available = this.available()
    if (available < least) return 0
    const count = length < available ? length : available
    if (count === 0) return 0
    const memory = this.memory
    const at = this.position & this.mask
    const first = this.size - at
    if (count <= first) {
      copy.call(memory.data, into, offset, at, at + count)
    } else {
      copy.call(memory.data, into, offset, at, this.size)
      copy.call(memory.data, into, offset + first, 0, count - first)
    }
    this.moveTo(this.position + count)
    return count
  }

  /** Takes what is in the ring now for all that will ever come: the peer is gone, and a later one is not to be read as the former. */
  freeze(): void {
    this.end ??= (this.position + this.available()) >>> 0
  }

  /** Takes a freeze back: the ring goes on. */
  thaw(): void {
    this.end = undefined
  }

  /** Counts the rest before a frozen end as read. */
  skip(): void {
    if (this.end !== undefined) this.moveTo(this.end)
  }

  /** Asks the peer to ring when it wrote. The caller looks at `available` again before it sleeps. */
  request(): void {
    request(this.memory, notifyBit.write)
  }

  /** Whether the peer has asked to be rung for what was just consumed; asked once, answered once. */
  takeNotify(): boolean {
    return takeNotify(this.memory, notifyBit.read)
  }

  private moveTo(position: number): void {
    this.position = position >>> 0
    // Frees the space: the copy out of the ring is done before a peer that sees the new index writes there.
    Atomics.store(this.memory.indexes, this.memory.cons, this.position | 0)
  }
}
