/**
 * Assembly: puts messages together again that came cut in segments, interleaved with others. Belongs to its session, and to nobody once the
 * session has ended.
 *
 * The first segment tells the length of the whole, which is checked against the limit of a message, and against what the peer's messages may
 * take together, before anything is allocated. Segments come in order; whatever else comes is told as what is wrong with it.
 */
import type { BufferPool } from "./BufferPool.ts"
import { Flag, FrameType, maxBody } from "./Frame.ts"

/** Bytes that may be used, and that are. */
export interface Budget {
  limit: number
  used: number
}

/** A frame as it came. */
export interface Incoming {
  readonly type: number
  readonly flags: number
  readonly method: number
  readonly id: number
  readonly body: Uint8Array
}

interface Part {
  readonly type: number
  readonly flags: number
  readonly method: number
  readonly bytes: Uint8Array
  /** What it takes of the budget. */
  readonly charge: number
  length: number
}

/** The bytes of the whole message's length, with which the first segment begins. */
export const totalLength = 4

const cuttable: ReadonlySet<number> = new Set([
  FrameType.Request,
  FrameType.Chunk,
  FrameType.Success,
  FrameType.Failure,
  FrameType.Defect
])

export class Assembly {
  private readonly parts = new Map<number, Part>()
  private readonly budget: Budget
  private readonly pool: BufferPool
  private limit = 0

  /** What is being put together uses the budget until it is whole. */
  constructor(budget: Budget, pool: BufferPool) {
    this.budget = budget
    this.pool = pool
  }

  /** Takes messages of up to `limit` bytes from now on. */
  setLimit(limit: number): void {
    this.limit = limit
  }

  /** Whether the frame is a segment, and `take` has to take it. */
  wants({ flags, id, type }: Incoming): boolean {
    return (flags & Flag.More) !== 0 || (this.parts.size > 0 && this.parts.get(id)?.type === type)
  }

  /**
   * Takes a segment: the whole body, which is the pool's, where it was the last, undefined where more follow, and the reason where it breaks the protocol.
   * `reserved` bytes are there for the message already, and none of the budget is used; where left out, none are.
   */
  take(frame: Incoming, reserved?: number): Uint8Array | string | undefined {
    const { body, flags, id, method, type } = frame
    const isLast = (flags & Flag.More) === 0
    let part = this.parts.get(id)
    if (part !== undefined && part.type !== type) {
      // The other message will not come to its end.
      this.drop(id)
      part = undefined
    }
    if (part === undefined) return this.begin(frame, reserved)
    if (part.method !== method || part.flags !== (flags & ~Flag.More)) {
      return `the segments of the message ${id} differ in their headers`
    }
    const length = part.length + body.length
    if (body.length === 0 || (isLast ? length !== part.bytes.length : length >= part.bytes.length)) {
      return `${length} bytes${isLast ? "" : " and more"} in segments of a message of ${part.bytes.length}`
    }
    part.bytes.set(body, part.length)
    part.length = length
    if (!isLast) return undefined
    this.remove(id, part)
    return part.bytes
  }

  /** Forgets what came of a message, and tells which type it was of; undefined where there was none. */
  drop(id: number): number | undefined {
    const part = this.parts.size === 0 ? undefined : this.parts.get(id)
    if (part === undefined) return undefined
    this.remove(id, part)
    this.pool.give(part.bytes)
    return part.type
  }

  /** Forgets everything. */
  clear(): void {
    for (const id of [...this.parts.keys()]) this.drop(id)
  }

  private remove(id: number, { charge }: Part): void {
    this.parts.delete(id)
    this.budget.used -= charge
  }

  private begin({ body, flags, id, method, type }: Incoming, reserved: number | undefined): string | undefined {
    if (!cuttable.has(type)) return `a frame of type ${type} cut in segments`
    if (body.length <= totalLength) return `a first segment of ${body.length} bytes`
    const total = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
    const { budget } = this
    const limit = Math.min(this.limit, reserved ?? Infinity)
    const charge = reserved === undefined ? total : 0
    if (total <= maxBody) return `a message of ${total} bytes cut in segments, which fits in one`
    if (total > limit) return `a message of ${total} bytes, over the limit of ${limit} bytes`
    if (charge > budget.limit - budget.used) {
      return `a message of ${total} bytes, where ${budget.limit - budget.used} are left of the memory`
    }
    const first = body.subarray(totalLength)
    if (first.length >= total) return `a first segment longer than its message of ${total} bytes`
    budget.used += charge
    const bytes = this.pool.take(total)
    bytes.set(first)
    this.parts.set(id, { type, method, flags: flags & ~Flag.More, bytes, charge, length: first.length })
    return undefined
  }
}
