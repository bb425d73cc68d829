/**
 * Writing by fibers: the calls that wait for space, first come first served. A later buffer is not begun before an earlier one is written
 * whole.
 *
 * Belongs to its connection, which pumps when there may be space and fails what waits when it ends.
 */
import { Effect } from "effect"
import type { VchanError } from "./VchanError.ts"

/** What is written to. */
export interface Outlet {
  /** Writes up to `length` bytes, or none where fewer than `least` fit, and returns how many. */
  put(bytes: Uint8Array, offset: number, length: number, least: number): number
  /** Writes small buffers whole, from the `index`-th on, and returns how many: fewer where one has to be put by itself, or wait. */
  putEach(buffers: ReadonlyArray<Uint8Array>, index: number): number
  /** Why nothing can be written any more; undefined while something can. */
  readonly error: VchanError | undefined
  /** Somebody waits now. */
  awaited(): void
}

/** A fiber that waits for its buffers to be written. */
interface Waiter {
  readonly buffers: ReadonlyArray<Uint8Array>
  /** The first that is not written whole, and how many of its bytes are. */
  index: number
  offset: number
  /** All at once, or piece by piece as space comes. */
  readonly whole: boolean
  readonly resume: (effect: Effect.Effect<void, VchanError>) => void
}

/** The calls that wait for space. */
export class FiberWriter {
  private readonly outlet: Outlet
  private readonly waiters: Array<Waiter> = []

  constructor(outlet: Outlet) {
    this.outlet = outlet
  }

  /** Whether no fiber waits. */
  get idle(): boolean {
    return this.waiters.length === 0
  }

  /** How much space the first fiber needs to go on; 0 when none waits. */
  get wanted(): number {
    const first = this.waiters[0]
    return first === undefined ? 0 : first.whole ? first.buffers[0]?.length ?? 0 : 1
  }

  /** Writes all of `bytes`: in one go where `whole`, else as space comes. */
  write(bytes: Uint8Array, whole: boolean): Effect.Effect<void, VchanError> {
    return Effect.suspend(() => {
      const { length } = bytes
      if (length > 0 && this.idle && this.outlet.put(bytes, 0, length, length) === length) return Effect.void
      return this.wait([bytes], 0, whole)
    })
  }

  /** Writes all of the buffers, one after the other. */
  writeAll(buffers: ReadonlyArray<Uint8Array>): Effect.Effect<void, VchanError> {
    return Effect.suspend(() => {
      let index = 0
      for (let count = 1; this.idle && count > 0 && index < buffers.length; index += count) count = this.outlet.putEach(buffers, index)
      return index === buffers.length && index > 0 ? Effect.void : this.wait(buffers, index, false)
    })
  }

  private wait(buffers: ReadonlyArray<Uint8Array>, index: number, whole: boolean): Effect.Effect<void, VchanError> {
    return Effect.callback((resume) => {
      const error = this.outlet.error
      if (error !== undefined) return resume(Effect.fail(error))
      const waiter: Waiter = { buffers, index, offset: 0, whole, resume }
      this.waiters.push(waiter)
      this.pump()
      this.outlet.awaited()
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
      if (this.advance(waiter)) worked = true
      if (waiter.index < waiter.buffers.length) break
      this.waiters.shift()
      waiter.resume(Effect.void)
    }
    return worked
  }

  fail(error: VchanError): void {
    for (const waiter of this.waiters.splice(0)) waiter.resume(Effect.fail(error))
  }

  /** Writes what fits of one call; true when something did. */
  private advance(waiter: Waiter): boolean {
    let worked = false
    for (let bytes = waiter.buffers[waiter.index]; bytes !== undefined; bytes = waiter.buffers[waiter.index]) {
      const left = bytes.length - waiter.offset
      const count = left === 0 ? 0 : this.outlet.put(bytes, waiter.offset, left, waiter.whole ? left : 0)
      if (count > 0) worked = true
      waiter.offset += count
      if (count < left) break
      waiter.offset = 0
      waiter.index++
      waiter.index += this.outlet.putEach(waiter.buffers, waiter.index)
    }
    return worked
  }
}
