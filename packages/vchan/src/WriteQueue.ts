/**
 * The buffers that wait for space in a ring, first come first served: a later one is not begun before an earlier one is written whole.
 *
 * Belongs to its connection, which fails what is left when it ends.
 */
import { Effect } from "effect"
import type { VchanError } from "./VchanError.ts"

/** A fiber that waits for its bytes to be written. */
export interface Writer {
  readonly bytes: Uint8Array
  /** How many of them are written. */
  offset: number
  /** All at once, or piece by piece as space comes. */
  readonly whole: boolean
  readonly resume: (effect: Effect.Effect<void, VchanError>) => void
}

/** The writers of one connection. */
export class WriteQueue {
  private readonly writers: Array<Writer> = []
  private readonly put: (bytes: Uint8Array, offset: number, length: number, least: number) => number

  /** `put` writes up to `length` bytes, or none where fewer than `least` fit, and returns how many. */
  constructor(put: (bytes: Uint8Array, offset: number, length: number, least: number) => number) {
    this.put = put
  }

  get empty(): boolean {
    return this.writers.length === 0
  }

  /** How much space the first one needs to go on; 0 when nobody waits. */
  get wanted(): number {
    const first = this.writers[0]
    return first === undefined ? 0 : first.whole ? first.bytes.length : 1
  }

  /** Queues a writer and writes what fits at once. Returns how to leave the queue. */
  add(writer: Writer): () => void {
    this.writers.push(writer)
    this.pump()
    return () => {
      const at = this.writers.indexOf(writer)
      if (at >= 0) this.writers.splice(at, 1)
    }
  }

  /** Writes what fits; true when something did. */
  pump(): boolean {
    let worked = false
    for (let writer = this.writers[0]; writer !== undefined; writer = this.writers[0]) {
      const left = writer.bytes.length - writer.offset
      const count = this.put(writer.bytes, writer.offset, left, writer.whole ? left : 0)
      if (count === 0) break
      worked = true
      writer.offset += count
      if (count < left) break
      this.writers.shift()
      writer.resume(Effect.void)
    }
    return worked
  }

  fail(error: VchanError): void {
    for (const writer of this.writers.splice(0)) writer.resume(Effect.fail(error))
  }
}
