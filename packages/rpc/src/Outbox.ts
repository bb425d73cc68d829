/**
 * Outbox: the long messages that wait to be sent. Each in turn sends one segment, so that none holds up the others; short messages go past
 * them all, in the writer. Belongs to its session.
 *
 * A message begins only when the peer has the memory to put it together beside those that have begun, and then goes on to its end.
 */
import { totalLength } from "./Assembly.ts"
import type { BufferPool } from "./BufferPool.ts"
import { Flag, maxBody } from "./Frame.ts"
import type { FrameSink, FrameWriter } from "./FrameWriter.ts"

/** A long message. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly method: number
  readonly id: number
  /** Kept until it is sent. */
  readonly body: Uint8Array
  /** Called when the last of it has been handed on. */
  readonly done: (() => void) | undefined
}

interface Waiting {
  readonly message: Message
  /** Whether its body is the pool's. */
  readonly isCopy: boolean
  sent: number
}

export class Outbox {
  /** The bytes of the messages that wait. */
  bytes = 0
  private readonly pool: BufferPool
  private readonly queue: Array<Waiting> = []
  private turn = 0
  private begun = 0
  private peerMemory = 0

  constructor(pool: BufferPool) {
    this.pool = pool
  }

  /** How many messages wait. */
  get size(): number {
    return this.queue.length
  }

  /** The peer can put messages together of that many bytes in all. */
  setPeerMemory(bytes: number): void {
    this.peerMemory = bytes
  }

  add(message: Message): void {
    this.push(message, false)
  }

  /** Adds a message whose body is copied. */
  addCopy(message: Message): void {
    const body = this.pool.take(message.body.length)
    body.set(message.body)
    this.push({ ...message, body }, true)
  }

  /** Takes a message back, of any type or of that one. "begun" where the peer has some of it, "whole" where nothing, undefined where none waits. */
  cancel(id: number, type?: number): "begun" | "whole" | undefined {
    const index = this.queue.findIndex(({ message }) => message.id === id && (type === undefined || message.type === type))
    const found = this.queue[index]
    if (found === undefined) return undefined
    this.remove(index, found)
    return found.sent > 0 ? "begun" : "whole"
  }

  /** Writes the next segment, by a writer that holds nothing; returns how many bytes of a message it took, 0 where none waits. */
  next(writer: FrameWriter, sink: FrameSink): number {
    for (let tries = this.queue.length; tries > 0; tries--) {
      if (this.turn >= this.queue.length) this.turn = 0
      const waiting = this.queue[this.turn]
      if (waiting === undefined) return 0
      const { message, sent } = waiting
      const { length } = message.body
      if (sent === 0 && length > maxBody) {
        if (this.begun > 0 && this.begun + length > this.peerMemory) {
          this.turn++
          continue
        }
        this.begun += length
      }
      return this.segment(waiting, writer, sink)
    }
    return 0
  }

  clear(): void {
    this.queue.length = 0
    this.bytes = 0
    this.begun = 0
  }

  private push(message: Message, isCopy: boolean): void {
    this.bytes += message.body.length
    this.queue.push({ message, isCopy, sent: 0 })
  }

  private segment(waiting: Waiting, writer: FrameWriter, sink: FrameSink): number {
    const { message, sent } = waiting
    const { body, flags, id, method, type } = message
    const total = sent === 0 && body.length > maxBody ? body.length : undefined
    const end = Math.min(body.length, sent + maxBody - (total === undefined ? 0 : totalLength))
    const isLast = end === body.length
    writer.through(sink, { type, flags: isLast ? flags : flags | Flag.More, method, id, total, body: body.subarray(sent, end) })
    waiting.sent = end
    if (isLast) {
      this.remove(this.turn, waiting)
      message.done?.()
    } else {
      this.turn++
    }
    return end - sent
  }

  private remove(index: number, { isCopy, message, sent }: Waiting): void {
    const { length } = message.body
    this.queue.splice(index, 1)
    if (index < this.turn) this.turn--
    this.bytes -= length
    if (sent > 0 && length > maxBody) this.begun -= length
    if (isCopy) this.pool.give(message.body)
  }
}
