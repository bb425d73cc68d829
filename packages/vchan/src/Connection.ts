/**
 * An open vchan: both rings, the port and the live bytes of one connection, joined into the calls of {@link Vchan}.
 *
 * Pages, port and watches belong to the Scope that made them; `close` is called before that Scope lets go of them, and no memory is touched
 * afterwards. The peer's end is noticed in `look`, or told from outside by `end`: then the rest is offered to the reader, and the reason
 * is given out, once.
 */
import type { DomId, Port, PortListener } from "@vchan/xen"
import { Deferred, Effect, Sink, Stream } from "effect"
import { corruption } from "./corruption.ts"
import { FiberReader } from "./FiberReader.ts"
import { FiberWriter } from "./FiberWriter.ts"
import { checkRange, tooLong } from "./range.ts"
import type { Consumer, Producer } from "./Ring.ts"
import { live, type SharedPage } from "./SharedPage.ts"
import type { Vchan, VchanListener } from "./Vchan.ts"
import { Closed, PeerGone, RingCorrupt, VchanError } from "./VchanError.ts"

/** One connection. */
export class Connection implements Vchan, PortListener {
  readonly role: Vchan["role"]
  readonly peer: DomId
  readonly path: string
  readonly readRing: number
  readonly writeRing: number
  private readonly page: SharedPage
  private readonly producer: Producer
  private readonly consumer: Consumer
  private readonly port: Port
  private readonly other: Vchan["role"]
  private readonly begun: number

  private listener: VchanListener | undefined
  private readonly reader: FiberReader
  private readonly writer: FiberWriter
  private wantsSpace = false
  /** How much lay there when the listener last took nothing: it is not asked again for the same bytes. */
  private refused = 0
  private met: boolean
  /** Why nothing moves any more, once it is so. */
  error: VchanError | undefined
  private told = false
  private readonly meeting = Deferred.makeUnsafe<void, VchanError>()
  private readonly ending = Deferred.makeUnsafe<VchanError>()

  constructor(options: {
    readonly role: Vchan["role"]
    readonly peer: DomId
    readonly path: string
    readonly page: SharedPage
    readonly producer: Producer
    readonly consumer: Consumer
    readonly port: Port
    /** Where the peer's reading begins: beyond it, the peer has been there. */
    readonly begun: number
  }) {
    this.role = options.role
    this.peer = options.peer
    this.path = options.path
    this.page = options.page
    this.producer = options.producer
    this.consumer = options.consumer
    this.port = options.port
    this.begun = options.begun
    this.other = options.role === "server" ? "client" : "server"
    this.readRing = options.consumer.size
    this.writeRing = options.producer.size
    // The server was there first: a client has met it by having come.
    this.met = options.role === "client"
    this.reader = new FiberReader(this)
    this.writer = new FiberWriter(this)
  }

  /** Waits until the peer has connected. A client that wrote or read something, and is gone already, has connected too. */
  readonly connected: Effect.Effect<void, VchanError> = Deferred.await(this.meeting)
  readonly ended: Effect.Effect<VchanError> = Deferred.await(this.ending)

  /** Whether the peer is still awaited, is there as far as is known, or has said goodbye. */
  get phase(): "waiting" | "connected" | "left" {
    return this.error?.reason._tag === "PeerGone" ? "left" : this.met ? "connected" : "waiting"
  }

  /** The own indexes of both rings. */
  get positions(): { readonly reading: number; readonly writing: number } {
    return { reading: this.consumer.position, writing: this.producer.position }
  }

  /** Whether a listener has taken the reading over. */
  get isTaken(): boolean {
    return this.listener !== undefined
  }

  /** A fiber waits now. */
  awaited(): void {
    this.port.expectUnsafe()
  }

  /** Starts to answer the port. */
  start(): void {
    this.port.listenUnsafe(this)
    this.port.expectUnsafe()
  }

  /** The connection is over. Only the first reason counts. */
  end(reason: VchanError["reason"]): void {
    // A peer that said goodbye before its domain or its keys vanished has closed, no more.
    if (this.error === undefined && reason._tag === "DomainGone") this.checkLive()
    if (this.error !== undefined) return
    // The live byte, or the news of the end, was read before the index is read here: nothing that the peer wrote earlier is missed.
    this.consumer.freeze()
    // Read again after it: what the next client wrote, if one has come meanwhile, is not to be taken for the former's last bytes.
    if (reason._tag === "PeerGone" && this.page.live(this.other) !== live.gone) return this.consumer.thaw()
    const found = corruption(this.role, this.consumer, this.producer) ?? reason
    this.error = new VchanError({ domid: this.peer, path: this.path, reason: found })
    if (found._tag === "RingCorrupt" || (found._tag === "Closed" && this.met)) {
      this.met = true
      this.page.setLive(this.role, live.gone)
      this.port.notifyUnsafe()
    }
    queueMicrotask(this.settle)
  }

  /** Ends the connection and lets go of its memory. What its peer wrote counts as read; what somebody not yet met wrote stays. */
  close(): void {
    this.consumer.freeze()
    // While this side is still there: once it is not, a server may empty the rings, and this index is its to set.
    if (this.met) this.consumer.skip()
    this.end(new Closed())
    this.consumer.close()
    this.producer.close()
  }

  look(): boolean {
    if (this.error !== undefined) return false
    this.checkLive()
    let worked = false
    if (this.listener !== undefined) {
      worked = this.offer(this.listener)
    } else if (this.reader.wanted > 0 && this.available() >= this.reader.wanted) {
      this.reader.wake()
      worked = true
    }
    if (!this.writer.idle) worked = this.writer.pump() || worked
    if (this.wantsSpace && this.spaceUnsafe() > 0) {
      this.wantsSpace = false
      this.listener?.writable()
      worked = true
    }
    return worked
  }

  arm(): boolean {
    if (this.error !== undefined) return false
    if (this.listener !== undefined || this.reader.wanted > 0) this.consumer.request()
    const wanted = this.writer.idle ? Number(this.wantsSpace) : this.writer.wanted
    if (wanted > 0) this.producer.request()
    // Asked first, looked then: whatever the peer did before it could see the request is found here.
    this.checkLive()
    if (this.listener !== undefined && this.available() > this.refused) return true
    if (this.reader.wanted > 0 && this.available() >= this.reader.wanted) return true
    return wanted > 0 && this.space() >= wanted
  }

  readonly readInto = (buffer: Uint8Array): Effect.Effect<number, VchanError> => this.reader.readInto(buffer)

  readonly receive = (buffer: Uint8Array): Effect.Effect<void, VchanError> =>
    Effect.suspend(() => buffer.length > this.readRing ? tooLong(this, buffer.length, this.readRing) : this.reader.receive(buffer))

  readonly stream: Stream.Stream<Uint8Array, VchanError> = Stream.suspend(() => this.reader.stream)

  readonly write = (bytes: Uint8Array): Effect.Effect<void, VchanError> => this.writer.write(bytes, false)
  readonly writeAll = (buffers: ReadonlyArray<Uint8Array>): Effect.Effect<void, VchanError> => this.writer.writeAll(buffers)
  readonly sink: Sink.Sink<void, Uint8Array, never, VchanError> = Sink.forEachArray(this.writeAll)

  readonly send = (bytes: Uint8Array): Effect.Effect<void, VchanError> =>
    Effect.suspend(() => bytes.length > this.writeRing ? tooLong(this, bytes.length, this.writeRing) : this.writer.write(bytes, true))

  readonly availableUnsafe = (): number => this.available()
  readonly spaceUnsafe = (): number => this.error === undefined && this.writer.idle ? this.space() : 0

  readonly readUnsafe = (buffer: Uint8Array, offset: number, length: number): number => {
    checkRange(buffer, offset, length)
    return this.take(buffer, offset, length, 0)
  }

  readonly writeUnsafe = (bytes: Uint8Array, offset: number, length: number): number => {
    checkRange(bytes, offset, length)
    return this.writer.idle ? this.put(bytes, offset, length, 0) : 0
  }

  readonly wantSpaceUnsafe = (): void => {
    if (this.error !== undefined) return
    this.wantsSpace = true
    this.port.expectUnsafe()
  }

  readonly listenUnsafe = (listener: VchanListener): void => {
    this.listener = listener
    this.refused = 0
    this.reader.wake()
    if (this.error === undefined) this.port.expectUnsafe()
    else queueMicrotask(this.settle)
  }

  /** Gives the end out to all who wait. Not within the call that found the end: the caller may be one of them. */
  private readonly settle = (): void => {
    const { error, listener } = this
    if (error === undefined) return
    Deferred.doneUnsafe(this.meeting, Effect.fail(error))
    Deferred.doneUnsafe(this.ending, Effect.succeed(error))
    this.writer.fail(error)
    this.reader.wake()
    if (listener === undefined || this.told) return
    this.told = true
    while (this.offer(listener));
    listener.ended(error)
  }

  /** Offers what there is to the listener; true when it took some. */
  private offer(listener: VchanListener): boolean {
    const available = this.available()
    if (available <= this.refused) return false
    const before = this.consumer.position
    listener.readable()
    const took = this.consumer.position !== before
    this.refused = took ? 0 : available
    return took
  }

  put(bytes: Uint8Array, offset: number, length: number, least: number): number {
    return this.mayWrite() ? this.wrote(this.producer.write(bytes, offset, length, least)) : 0
  }

  putEach(buffers: ReadonlyArray<Uint8Array>, index: number): number {
    return this.mayWrite() ? this.wrote(this.producer.writeEach(buffers, index)) : 0
  }

  private mayWrite(): boolean {
    if (this.error === undefined && this.page.isGone(this.other)) this.checkLive()
    return this.error === undefined
  }

  /** Tells the peer, if it asked, that something was written. */
  private wrote(count: number): number {
    if (count === 0) return this.checkRings()
    if (this.producer.takeNotify()) this.port.notifyUnsafe()
    if (this.listener !== undefined || this.reader.wanted > 0) this.port.expectUnsafe()
    return count
  }

  take(buffer: Uint8Array, offset: number, length: number, least: number): number {
    const count = this.consumer.read(buffer, offset, length, least)
    if (count === 0) return this.checkRings()
    // Who wrote has connected, even where it came and went between two looks at its live byte.
    if (!this.met) this.meet()
    if (this.consumer.takeNotify()) this.port.notifyUnsafe()
    if (this.refused > 0) {
      // The listener takes again: it is to be offered the rest.
      this.refused = 0
      if (this.error === undefined) this.port.expectUnsafe()
    }
    return count
  }

  available(): number {
    return this.consumer.available() || this.checkRings()
  }

  private space(): number {
    return this.producer.space() || this.checkRings()
  }

  private checkLive(): void {
    const value = this.page.live(this.other)
    // A client that gave up before it had connected leaves a cleared byte too: the next may come.
    if (value === live.gone && !this.met && !this.touched()) return this.page.awaitClient()
    if (value === live.waiting && !this.met) return
    if (!this.met) this.meet()
    if (value === live.gone) this.end(new PeerGone())
    // libxenvchan takes whatever is not 0 for connected, but no honest peer writes anything else.
    else if (value !== live.connected) this.end(new RingCorrupt({ detail: `the ${this.other}'s live byte is ${value}` }))
  }

  private meet(): void {
    this.met = true
    Deferred.doneUnsafe(this.meeting, Effect.void)
  }

  /** Whether anybody has written to or read from the rings since they were last emptied. */
  private touched(): boolean {
    return this.consumer.available() > 0 || this.consumer.corrupt !== undefined || !this.producer.isConsumedTo(this.begun)
  }

  /** Nothing moves: ends the connection where that is because the rings are broken. */
  private checkRings(): 0 {
    const found = this.error === undefined ? corruption(this.role, this.consumer, this.producer) : undefined
    if (found !== undefined) this.end(found)
    return 0
  }
}
