/**
 * A session: the part of a connection's engine that both sides share. Frames go out gathered, one write for all of a turn; frames come in
 * from a reused slab and go to the handler straight from the ring's callback, without a fiber.
 *
 * It belongs to the vchan's Scope. It ends once: when the vchan ends, when a side says Goodbye, breaks the protocol or falls silent, or when
 * `end` is called; after that nothing is sent and nothing comes. It does not close the vchan: its owner does, told by `onEnded`.
 *
 * What waits to be sent is kept in memory. Over `highWater` bytes the session reads nothing more from the peer, and goes on when the peer
 * has taken its part, so that a peer that asks without listening only stops itself.
 */
import type { Vchan } from "@vchan/vchan"
import { Schema } from "effect"
import { Flag, FrameReader, FrameType, FrameWriter } from "./Frame.ts"
import { maxHello } from "./Hello.ts"
import { type Keepalive, Watch } from "./Keepalive.ts"
import {
  ConnectionLost,
  ConnectionRefusal,
  HandshakeRefused,
  PeerSilent,
  ProtocolViolation,
  VchanRpcError,
  type VchanRpcReason
} from "./RpcError.ts"

/** What the side above does. All are called on the JavaScript thread, and must not throw. */
export interface SessionHandler {
  /** A frame came. `body` is valid only during the call. */
  readonly onFrame: (type: number, method: number, id: number, body: Uint8Array, flags: number) => void
  /** There is room again, after `isFull` was true. */
  readonly onRoom: () => void
  /** The session ended. Called once. */
  readonly onEnded: (error: VchanRpcError) => void
}

const ConnectionRefusalJson = Schema.fromJsonString(ConnectionRefusal)
const encodeRefusal = Schema.encodeSync(ConnectionRefusalJson)
const decodeRefusal = Schema.decodeUnknownResult(ConnectionRefusalJson)

/** The bytes that are written at once without waiting for the end of the turn. */
const flushLength = 32 * 1024

/** The bytes that one callback of the ring reads, before others have their turn. */
const turnLength = 256 * 1024

/** One side of a connection. */
export class Session {
  /** Why the session ended, once it has. */
  ended: VchanRpcError | undefined = undefined

  readonly vchan: Vchan
  readonly service: string
  private readonly highWater: number
  private readonly reader = new FrameReader(maxHello)
  private readonly writer = new FrameWriter()
  private readonly watch: Watch
  private handler: SessionHandler | undefined = undefined
  private reading = false
  private scheduled = false
  private blocked = false
  private wasFull = false
  private stalled = false
  private greeted = false
  /** A Pong waits to be written: it answers further Pings, too. */
  private pongWaits = false

  constructor(options: {
    readonly vchan: Vchan
    readonly service: string
    readonly highWater: number
    readonly keepalive: Keepalive
  }) {
    this.vchan = options.vchan
    this.service = options.service
    this.highWater = options.highWater
    this.watch = new Watch(options.keepalive, {
      progress: () => this.progress(),
      ask: () => this.ping(),
      silent: (silentMillis) => this.refuse(new PeerSilent({ silentMillis }))
    })
  }

  /** Starts to listen. Frames may come from now on. */
  open(handler: SessionHandler): void {
    this.handler = handler
    this.vchan.listenUnsafe({
      readable: () => this.read(),
      writable: () => {
        this.blocked = false
        this.flush()
        if (this.stalled) this.read()
      },
      ended: (error) => this.end(new ConnectionLost({ error }))
    })
  }

  /** The peer has said Hello. From the next frame on, length fields may say up to `limit`. */
  greet(limit: number): void {
    this.greeted = true
    this.reader.setLimit(limit)
    this.watch.start()
  }

  /** An error of this connection. */
  error(reason: VchanRpcReason, method?: string): VchanRpcError {
    const where = { domid: this.vchan.peer, service: this.service, reason }
    return new VchanRpcError(method === undefined ? where : { ...where, method })
  }

  /** Sends a frame. Nothing happens once the session has ended. */
  send(type: number, method: number, id: number, body: Uint8Array): void {
    if (this.ended !== undefined) return
    this.writer.frame(type, method, id, body)
    this.sendSoon()
  }

  /** Sends a request with an envelope. */
  sendEnveloped(method: number, id: number, envelope: Uint8Array, payload: Uint8Array): void {
    if (this.ended !== undefined) return
    this.writer.flagged(FrameType.Request, Flag.Envelope, method, id, envelope, payload)
    this.sendSoon()
  }

  /** Sends a frame without a body. */
  sendEmpty(type: number, method: number, id: number): void {
    if (this.ended !== undefined) return
    this.writer.empty(type, method, id)
    this.sendSoon()
  }

  /** Sends a frame whose body is one u32. */
  sendNumber(type: number, method: number, id: number, value: number): void {
    if (this.ended !== undefined) return
    this.writer.number(type, method, id, value)
    this.sendSoon()
  }

  /** Whether so much waits to be sent that no more should be made. When it is true, `onRoom` will be called. */
  isFull(): boolean {
    if (this.writer.length <= this.highWater) return false
    this.wasFull = true
    return true
  }

  /** Tells the peer why, as far as the ring has room, and ends. */
  refuse(reason: ConnectionRefusal): void {
    if (this.ended !== undefined) return
    const told = reason._tag === "ProtocolViolation" ? new ProtocolViolation({ by: "this side", detail: reason.detail }) : reason
    this.send(FrameType.Goodbye, 0, 0, new TextEncoder().encode(encodeRefusal(told)))
    if (!this.blocked) this.writer.drain(this.vchan)
    this.end(reason)
  }

  /** Ends because the peer broke the protocol. */
  violation(detail: string): void {
    this.refuse(new ProtocolViolation({ by: "the peer", detail }))
  }

  /** Ends, and tells the handler why. Only the first end counts. */
  end(reason: VchanRpcReason): void {
    if (this.ended !== undefined) return
    const error = this.error(reason)
    this.ended = error
    this.watch.stop()
    this.writer.clear()
    this.handler?.onEnded(error)
  }

  /** Writes now what waits, as far as the ring has room. */
  flush(): void {
    this.scheduled = false
    if (this.ended !== undefined || this.blocked) return
    if (this.writer.drain(this.vchan)) {
      this.pongWaits = false
    } else {
      this.blocked = true
      this.vchan.wantSpaceUnsafe()
    }
    if (this.wasFull && !this.isFull()) {
      this.wasFull = false
      this.handler?.onRoom()
    }
  }

  private sendSoon(): void {
    if (this.blocked) return
    if (this.writer.length >= flushLength) {
      this.flush()
    } else if (!this.reading && !this.scheduled) {
      this.scheduled = true
      queueMicrotask(() => this.flush())
    }
  }

  private read(): void {
    if (this.reading || this.ended !== undefined) return
    this.reading = true
    let budget = turnLength
    while (this.ended === undefined) {
      // A peer that does not take its replies gets no more of its requests read.
      this.stalled = this.isFull()
      if (this.stalled) break
      const found = this.reader.next()
      if (found === true) {
        this.dispatch()
      } else if (found === false) {
        const count = budget > 0 ? this.reader.fill(this.vchan) : 0
        if (count === 0) break
        budget -= count
      } else {
        this.violation(found)
      }
    }
    this.reading = false
    this.flush()
    // Whole frames may wait in the slab, of which the ring knows nothing. Others have their turn first.
    if (this.stalled && !this.blocked) setImmediate(() => this.read())
  }

  private dispatch(): void {
    const { body, flags, id, method, type } = this.reader
    if (flags !== 0 && (flags !== Flag.Envelope || type !== FrameType.Request)) {
      this.violation(`a frame of type ${type} has flags ${flags}`)
    } else if (type === FrameType.Goodbye) {
      const reason = decodeRefusal(new TextDecoder().decode(body))
      this.end(
        reason._tag === "Success" ? reason.success : new HandshakeRefused({ detail: "the peer closed the connection without a reason" })
      )
    } else if (this.greeted && type === FrameType.Ping) {
      this.pong()
    } else if (!this.greeted || type !== FrameType.Pong) {
      this.handler?.onFrame(type, method, id, body, flags)
    }
  }

  /** What was written takes the ring's space, and what was read its bytes: the sum changes with what the peer does, and with nothing else. */
  private progress(): number {
    return this.reader.total + this.vchan.availableUnsafe() + this.writer.total + this.vchan.spaceUnsafe()
  }

  private ping(): void {
    // Where the ring is full there is something that the peer could take, which is as good as an answer.
    if (!this.blocked) this.sendEmpty(FrameType.Ping, 0, 0)
  }

  /** However many Pings come, one Pong waits at most. */
  private pong(): void {
    if (this.pongWaits) return
    this.pongWaits = true
    this.sendEmpty(FrameType.Pong, 0, 0)
  }
}
