/**
 * Reading by a fiber: the calls that wait for bytes. One fiber waits at a time.
 *
 * Belongs to its connection, which wakes the fiber when enough bytes are there or the connection has ended.
 */
import { type Array as Arr, Cause, Effect, type Pull, Stream } from "effect"
import { Buffer } from "node:buffer"
import type { VchanError } from "./VchanError.ts"

/** What is read from. */
export interface Source {
  available(): number
  /** Reads up to `length` bytes, or none where fewer than `least` are there. */
  take(buffer: Uint8Array, offset: number, length: number, least: number): number
  /** Why no more bytes will come; undefined while some may. */
  readonly error: VchanError | undefined
  /** Whether a listener reads instead. */
  readonly isTaken: boolean
  /** Somebody waits now. */
  awaited(): void
}

/** A fiber that waits for `least` bytes. */
interface Waiter {
  readonly least: number
  readonly resume: (effect: Effect.Effect<void>) => void
}

/** The largest piece that `stream` emits. */
const chunkSize = 64 * 1024

/** The calls that wait for bytes. */
export class FiberReader {
  private readonly source: Source
  private waiter: Waiter | undefined

  constructor(source: Source) {
    this.source = source
  }

  /** How many bytes the waiting fiber needs; 0 where none waits. */
  get wanted(): number {
    return this.waiter?.least ?? 0
  }

  /** Lets the waiting fiber look again. */
  wake(): void {
    const waiter = this.waiter
    this.waiter = undefined
    waiter?.resume(Effect.void)
  }

  readInto(buffer: Uint8Array): Effect.Effect<number, VchanError> {
    return Effect.suspend(() => {
      const count = this.source.take(buffer, 0, buffer.length, 0)
      if (count > 0 || buffer.length === 0) return Effect.succeed(count)
      return Effect.flatMap(this.wait(1), () => this.readInto(buffer))
    })
  }

  receive(buffer: Uint8Array): Effect.Effect<void, VchanError> {
    return Effect.suspend(() => {
      if (this.source.take(buffer, 0, buffer.length, buffer.length) === buffer.length) return Effect.void
      return Effect.flatMap(this.wait(buffer.length), () => this.receive(buffer))
    })
  }

  private readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, VchanError> = Effect.suspend(() => {
    const available = Math.min(this.source.available(), chunkSize)
    if (available > 0) {
      // Not zeroed, for all of it is written now, but where the ring broke meanwhile.
      const chunk = new Uint8Array(Buffer.allocUnsafeSlow(available).buffer)
      const count = this.source.take(chunk, 0, available, 0)
      return Effect.succeed([count === available ? chunk : chunk.slice(0, count)] as const)
    }
    if (this.source.error?.reason._tag === "PeerGone") return Cause.done()
    return Effect.flatMap(this.wait(1), () => this.pull)
  })

  readonly stream: Stream.Stream<Uint8Array, VchanError> = Stream.fromPull(Effect.succeed(this.pull))

  /** Waits until `least` bytes may be there, or fails where they never will. */
  private wait(least: number): Effect.Effect<void, VchanError> {
    return Effect.callback((resume) => {
      const error = this.source.error
      if (error !== undefined) return resume(Effect.fail(error))
      if (this.waiter !== undefined || this.source.isTaken) return resume(Effect.die(new Error("a vchan has one reader at a time")))
      const waiter: Waiter = { least, resume }
      this.waiter = waiter
      this.source.awaited()
      return Effect.sync(() => {
        if (this.waiter === waiter) this.waiter = undefined
      })
    })
  }
}
