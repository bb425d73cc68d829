/**
 * Writing by fibers: the calls that wait for space, first come first served. A later buffer is not begun before an earlier one is written
 * whole.
 *
 * Belongs to its connection, which pumps when there may be space and fails what waits when it ends.
 */
import { Effect } from "effect"
import type { VchanError } from "./VchanError.ts"

/** What is written to. */
export interface Sink {
  /** Writes up to `length` bytes, or none where fewer than `least` fit, and returns how many. */
  readonly put: (bytes: Uint8Array, offset: number, length: number, least: number) => number
  /** Why nothing can be written any more; undefined while something can. */
  readonly error: () => VchanError | undefined
  /** Somebody waits now. */
  readonly awaited: () => void
}

/** A fiber that waits for its bytes to be written. */
interface Waiter {
  readonly bytes: Uint8Array
  /** How many of them are written. */
  offset: number
  /** All at once, or piece by piece as space comes. */
  readonly whole: boolean
  readonly resume: (effect: Effect.Effect<void, VchanError>) => void
}

/** The calls that wait for space. */
export class FiberWriter {
  private readonly sink: Sink
  private readonly waiters: Array<Waiter> = []

  constructor(sink: Sink) {
    this.sink = sink
  }

  /** Whether no fiber waits. */
  get idle(): boolean {
    return this.waiters.length === 0
  }

  /** How much space the first fiber needs to go on; 0 when none waits. */
  get wanted(): number {
    const first = this.waiters[0]
    return first === undefined ? 0 : first.whole ? first.bytes.length : 1
  }

  /** Writes all of `bytes`: in one go where `whole`, else as space comes. */
  write(bytes: Uint8Array, whole: boolean): Effect.Effect<void, VchanError> {
    return Effect.suspend(() => {
      if (bytes.length > 0 && this.idle && this.sink.put(bytes, 0, bytes.length, bytes.length) === bytes.length) return Effect.void
      return this.wait(bytes, whole)
    })
  }

  private wait(bytes: Uint8Array, whole: boolean): Effect.Effect<void, VchanError> {
    return Effect.callback((resume) => {
      const error = this.sink.error()
      if (error !== undefined) return resume(Effect.fail(error))
      if (bytes.length === 0) return resume(Effect.void)
      const waiter: Waiter = { bytes, offset: 0, whole, resume }
      this.waiters.push(waiter)
      this.pump()
      this.sink.awaited()
      return Effect.sync(() => {
        const at = this.waiters.indexOf(waiter)
        if (at >= 0) this.waiters.splice(at, 1)
      })
    })
  }

  /** Writes what fits; true when something did. */
  pump(): boolean {
    let worked = false
    for (let waiter = this.waiters[0]; waiter !== undefined; waiter = this.waiters[0]) {
      const left = waiter.bytes.length - waiter.offset
      const count = this.sink.put(waiter.bytes, waiter.offset, left, waiter.whole ? left : 0)
      if (count === 0) break
      worked = true
      waiter.offset += count
      if (count < left) break
      this.waiters.shift()
      waiter.resume(Effect.void)
    }
    return worked
  }

  fail(error: VchanError): void {
    for (const waiter of this.waiters.splice(0)) waiter.resume(Effect.fail(error))
  }
}
