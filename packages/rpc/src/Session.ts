/**
 * A session: the part of a connection's engine that both sides share. Frames come in from a reused slab, are put together where they are
 * segments, and go to the handler straight from the ring's callback, without a fiber. What goes out is `Outgoing`'s.
 *
 * It belongs to the vchan's Scope. It ends once: when the vchan ends, when a side says Goodbye, breaks the protocol or falls silent, or when
 * `end` is called; after that nothing is sent and nothing comes. It does not close the vchan: its owner does, told by `onEnded`.
 *
 * A session that may stall reads nothing more from the peer while too much waits to be sent, and goes on when the peer has taken its part, so
 * that a peer that asks without listening only stops itself.
 */
import type { Vchan } from "@vchan/vchan"
import { Result, Schema } from "effect"
import { Assembly, type Budget } from "./Assembly.ts"
import { BufferPool } from "./BufferPool.ts"
import { countedHeaderLength, Flag, FrameType, maxBody } from "./Frame.ts"
import { FrameReader } from "./FrameReader.ts"
import { maxHello } from "./Hello.ts"
import { type Keepalive, Watch } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import { Outgoing } from "./Outgoing.ts"
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
  /** The bytes that are there already for a chunk of that call; 0 where nobody wants it, undefined where it takes of the budget. */
  readonly roomFor: (id: number) => number | undefined
  /** There is room again, after `isFull` was true. */
  readonly onRoom: () => void
  /** The session ended. Called once. */
  readonly onEnded: (error: VchanRpcError) => void
}

const ConnectionRefusalJson = Schema.fromJsonString(ConnectionRefusal)
const encodeRefusal = Schema.encodeSync(ConnectionRefusalJson)
const decodeRefusal = Schema.decodeUnknownResult(ConnectionRefusalJson)

/** The bytes that one callback of the ring reads, before others have their turn. */
const turnLength = 256 * 1024

/** One side of a connection. */
export class Session {
  /** Why the session ended, once it has. */
  ended: VchanRpcError | undefined = undefined

  readonly vchan: Vchan
  readonly service: string
  /** What is to be sent. */
  readonly out: Outgoing
  private readonly mayStall: boolean
  private readonly reader = new FrameReader(maxHello)
  private readonly pool = new BufferPool()
  private readonly assembly: Assembly
  private readonly watch: Watch
  private handler: SessionHandler | undefined = undefined
  private reading = false
  private stalled = false
  private greeted = false

  constructor(options: {
    readonly vchan: Vchan
    readonly service: string
    /** The bytes of short messages that may wait to be sent before nothing more should be made. */
    readonly highWater: number
    /** Whether nothing more is read while so much waits. */
    readonly mayStall: boolean
    /** The bytes of long messages that may wait to be sent. */
    readonly memory: number
    /** What the peer's messages may take here. */
    readonly budget: Budget
    readonly keepalive: Keepalive
  }) {
    this.vchan = options.vchan
    this.service = options.service
    this.mayStall = options.mayStall
    this.out = new Outgoing({ ...options, pool: this.pool, onRoom: () => this.handler?.onRoom() })
    this.assembly = new Assembly(options.budget, this.pool)
    this.watch = new Watch(options.keepalive, {
      progress: () => this.progress(),
      ask: () => {
        this.rest()
        // Where the ring is full there is something that the peer could take, which is as good as an answer.
        if (!this.out.isBlocked) this.out.sendEmpty(FrameType.Ping, 0, 0)
      },
      silent: (silentMillis) => this.refuse(new PeerSilent({ silentMillis }))
    })
  }

  /** Starts to listen. Frames may come from now on. */
  open(handler: SessionHandler): void {
    this.handler = handler
    this.vchan.listenUnsafe({
      readable: () => this.read(),
      writable: () => {
        this.out.unblock()
        if (this.stalled) this.read()
      },
      ended: (error) => this.end(new ConnectionLost({ error }))
    })
  }

  /** Both sides have said Hello: from the next frame on, these limits hold. */
  greet(own: Limits, peer: Limits): void {
    this.greeted = true
    this.reader.setLimit(maxBody + countedHeaderLength)
    this.assembly.setLimit(own.maxMessage)
    this.out.greet(peer)
    this.watch.start()
  }

  /** An error of this connection. */
  error(reason: VchanRpcReason, method?: string): VchanRpcError {
    const where = { domid: this.vchan.peer, service: this.service, reason }
    return new VchanRpcError(method === undefined ? where : { ...where, method })
  }

  /** Tells the peer why, as far as the ring has room, and ends. */
  refuse(reason: ConnectionRefusal): void {
    if (this.ended !== undefined) return
    const told = reason._tag === "ProtocolViolation" ? new ProtocolViolation({ by: "this side", detail: reason.detail }) : reason
    this.out.send(FrameType.Goodbye, 0, 0, new TextEncoder().encode(encodeRefusal(told)))
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
    this.out.end()
    this.assembly.clear()
    this.handler?.onEnded(error)
  }

  /** Forgets what came of a message in segments, which will not come to its end; its type, or undefined where there was none. */
  abandon(id: number): number | undefined {
    return this.assembly.drop(id)
  }

  /** Nothing has happened for a while. */
  private rest(): void {
    this.pool.clear()
    this.reader.rest()
    this.out.rest()
  }

  private read(): void {
    if (this.reading || this.ended !== undefined) return
    this.reading = true
    this.out.gather()
    let budget = turnLength
    while (this.ended === undefined) {
      // A peer that does not take its replies gets no more of its requests read.
      this.stalled = this.mayStall && this.out.isFull()
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
    this.out.release()
    // Whole frames may wait in the slab, of which the ring knows nothing. Others have their turn first.
    if (this.stalled && !this.out.isBlocked) setImmediate(() => this.read())
  }

  private dispatch(): void {
    const { body, flags, id, method, type } = this.reader
    if (!this.greeted) {
      if (type === FrameType.Goodbye) this.goodbye(body)
      else if (flags === 0) this.handler?.onFrame(type, method, id, body, flags)
      else this.violation(`a Hello has flags ${flags}`)
    } else if (this.assembly.wants(this.reader)) {
      this.segment()
    } else if (flags !== 0 && (flags !== Flag.Envelope || type !== FrameType.Request)) {
      this.violation(`a frame of type ${type} has flags ${flags}`)
    } else if (type === FrameType.Goodbye) {
      this.goodbye(body)
    } else if (type === FrameType.Ping) {
      this.out.pong()
    } else if (type !== FrameType.Pong) {
      this.handler?.onFrame(type, method, id, body, flags)
    }
  }

  private segment(): void {
    const { flags, id, method, type } = this.reader
    const reserved = type === FrameType.Chunk ? this.handler?.roomFor(id) : undefined
    if (reserved === 0) return
    const whole = this.assembly.take(this.reader, reserved)
    if (typeof whole === "string") this.violation(whole)
    else if (whole !== undefined) {
      this.handler?.onFrame(type, method, id, whole, flags)
      this.pool.give(whole)
    }
  }

  private goodbye(body: Uint8Array): void {
    const reason = decodeRefusal(new TextDecoder().decode(body))
    this.end(
      Result.isSuccess(reason) ? reason.success : new HandshakeRefused({ detail: "the peer closed the connection without a reason" })
    )
  }

  /** What was written takes the ring's space, and what was read its bytes: the sum changes with what the peer does, and with nothing else. */
  private progress(): number {
    return this.reader.total + this.vchan.availableUnsafe() + this.out.total + this.vchan.spaceUnsafe()
  }
}
