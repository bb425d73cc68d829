/**
 * Outgoing: all that a session has to send. Short messages are gathered, one write for several of a turn; long ones wait in the outbox and send
 * their segments in turns, so that a short one waits for one segment at most, and for what the ring holds already.
 *
 * It belongs to its session and holds nothing once `end` was called. What waits is kept in memory: a server asks `isFull` before it makes
 * more of it, and `hasRoom` before it keeps a long message.
 */
import type { Vchan } from "@vchan/vchan"
import type { BufferPool } from "./BufferPool.ts"
import { Flag, FrameType, maxBody } from "./Frame.ts"
import { FrameWriter } from "./FrameWriter.ts"
import type { Limits } from "./Limits.ts"
import { Outbox } from "./Outbox.ts"

/** The bytes that are written without waiting for the end of the turn: few, so that the peer is at work with the first while more are made. */
const flushLength = 64

/** A message with more bytes than this is long. */
export const longLength = 16 * 1024

/** The bytes of long messages that are written before others have their turn. */
const turnLength = 256 * 1024

export class Outgoing {
  private readonly vchan: Vchan
  private readonly highWater: number
  /** The bytes that long messages may take while they wait. */
  readonly memory: number
  private readonly onRoom: () => void
  private readonly writer = new FrameWriter()
  private readonly outbox: Outbox
  private ended = false
  private gathering = false
  private scheduled = false
  private paused = false
  private flushing = false
  private blocked = false
  private wasFull = false
  private greeted = false
  private onEmpty: (() => void) | undefined = undefined
  /** A Pong waits to be written: it answers further Pings, too. */
  private pongWaits = false

  /** `onRoom` is called when there is room again, after `isFull` was true or `hasRoom` was not. */
  constructor(options: {
    readonly vchan: Vchan
    /** The bytes of short messages over which it is full. */
    readonly highWater: number
    /** The bytes that long messages may take. */
    readonly memory: number
    readonly onRoom: () => void
    readonly pool: BufferPool
  }) {
    this.vchan = options.vchan
    this.highWater = options.highWater
    this.memory = options.memory
    this.onRoom = options.onRoom
    this.outbox = new Outbox(options.pool)
  }

  /** The bytes that were ever written. */
  get total(): number {
    return this.writer.total
  }

  /** The bytes that wait. */
  get length(): number {
    return this.writer.length + this.outbox.bytes
  }

  /** Whether the ring is full. */
  get isBlocked(): boolean {
    return this.blocked
  }

  /** The peer has said Hello: from now on long messages are cut. */
  greet(peer: Limits): void {
    this.greeted = true
    this.outbox.setPeerMemory(peer.memory)
  }

  /**
   * Sends a message, whose bytes may be used again at once. Nothing happens after the end. `done` is called when no message of that id can go
   * past it any more.
   */
  send(type: number, method: number, id: number, body: Uint8Array, done?: () => void): void {
    if (this.ended) return
    if (body.length > longLength && this.greeted) return this.sendBig(type, method, id, body, done)
    this.writer.frame(type, method, id, body)
    this.sendSoon()
    done?.()
  }

  /** Sends a request with an envelope. */
  sendEnveloped(method: number, id: number, envelope: Uint8Array, payload: Uint8Array, done?: () => void): void {
    const type = FrameType.Request
    if (envelope.length + payload.length > longLength) {
      const body = new Uint8Array(envelope.length + payload.length)
      body.set(envelope)
      body.set(payload, envelope.length)
      return this.sendLong({ type, flags: Flag.Envelope, method, id, body, done })
    }
    if (this.ended) return
    this.writer.flagged(type, Flag.Envelope, method, id, envelope, payload)
    this.sendSoon()
    done?.()
  }

  /** Sends a message whose bytes are left to this until `done`, which tells that the last of them has been handed on. */
  sendLong(message: Parameters<Outbox["add"]>[0]): void {
    if (this.ended) return
    this.outbox.add(message)
    if (!this.blocked) this.flush()
  }

  /** Sends a frame without a body. */
  sendEmpty(type: number, method: number, id: number): void {
    if (this.ended) return
    this.writer.empty(type, method, id)
    this.sendSoon()
  }

  /** Sends a frame whose body is one u32. */
  sendNumber(type: number, method: number, id: number, value: number): void {
    if (this.ended) return
    this.writer.number(type, method, id, value)
    this.sendSoon()
  }

  /** Answers a Ping. However many come, one Pong waits at most. */
  pong(): void {
    if (this.pongWaits) return
    this.pongWaits = true
    this.sendEmpty(FrameType.Pong, 0, 0)
  }

  /** Takes a long message back, of any type or of that one: "begun" where the peer has some of it, "whole" where nothing, undefined where none waits. */
  cancel(id: number, type?: number): "begun" | "whole" | undefined {
    return this.outbox.size === 0 ? undefined : this.outbox.cancel(id, type)
  }

  /** Whether so much waits that no more should be made. */
  isFull(): boolean {
    const isFull = this.writer.length > this.highWater || (this.outbox.size > 1 && this.outbox.bytes > this.memory / 2)
    if (isFull) this.wasFull = true
    return isFull
  }

  /** Whether a message of that length may be kept until it is sent. */
  hasRoom(length: number): boolean {
    const hasRoom = this.outbox.bytes + length <= this.memory
    if (!hasRoom) this.wasFull = true
    return hasRoom
  }

  /** Gathers what is sent until `release`. */
  gather(): void {
    this.gathering = true
  }

  /** Writes what was gathered. */
  release(): void {
    this.gathering = false
    this.flush()
  }

  /** Writes what waits, and calls back once nothing does, or nothing is written any more. */
  finish(onEmpty: () => void): void {
    this.onEmpty = onEmpty
    this.flush()
    this.tellEmpty()
  }

  /** Nothing has gone for a while: takes no more memory than it needs. */
  rest(): void {
    this.writer.rest()
  }

  /** The ring has space again. */
  unblock(): void {
    this.blocked = false
    this.flush()
  }

  /** Writes now what waits, as far as the ring has room and others have their turn. */
  flush(): void {
    this.scheduled = false
    if (this.ended || this.blocked || this.flushing) return
    this.flushing = true
    let budget = turnLength
    for (;;) {
      if (!this.writer.drain(this.vchan)) {
        this.block()
        break
      }
      this.pongWaits = false
      if (this.outbox.size === 0) break
      if (budget <= 0) {
        this.pause()
        break
      }
      budget -= this.outbox.next(this.writer, this.vchan)
    }
    this.flushing = false
    if (this.wasFull && !this.isFull()) {
      this.wasFull = false
      this.onRoom()
    }
    this.tellEmpty()
  }

  /** Writes the last words, as far as the ring has room for them, and drops everything. */
  end(): void {
    if (this.ended) return
    if (!this.blocked) this.writer.drain(this.vchan)
    this.ended = true
    this.writer.clear()
    this.outbox.clear()
    this.tellEmpty()
  }

  private tellEmpty(): void {
    if (this.onEmpty === undefined || this.length > 0) return
    const done = this.onEmpty
    this.onEmpty = undefined
    done()
  }

  /** A long message goes straight to the ring where nothing waits and it needs no cutting, and is copied only where it has to wait. */
  private sendBig(type: number, method: number, id: number, body: Uint8Array, done: (() => void) | undefined): void {
    const isFree = body.length <= maxBody && this.outbox.size === 0 && !this.blocked && !this.flushing
    if (!isFree || !this.writer.drain(this.vchan)) {
      this.outbox.addCopy({ type, flags: 0, method, id, body, done })
      return this.blocked ? undefined : this.flush()
    }
    this.pongWaits = false
    this.writer.through(this.vchan, { type, flags: 0, method, id, total: undefined, body })
    if (this.writer.length > 0) this.block()
    done?.()
  }

  private block(): void {
    this.blocked = true
    this.vchan.wantSpaceUnsafe()
  }

  private pause(): void {
    if (this.paused) return
    this.paused = true
    setImmediate(() => {
      this.paused = false
      this.flush()
    })
  }

  private sendSoon(): void {
    if (this.blocked || this.flushing) return
    if (this.writer.length >= flushLength) {
      this.flush()
    } else if (!this.gathering && !this.scheduled) {
      this.scheduled = true
      queueMicrotask(() => this.flush())
    }
  }
}
