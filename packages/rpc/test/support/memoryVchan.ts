/**
 * Two ends of a vchan in one process: two rings of bytes, with the Unsafe half of `Vchan` on them. Callbacks run in turns of their own, as
 * a port's do. An end lives until `close` is called on either.
 */
import { Closed, PeerGone, type Vchan, VchanError, type VchanListener, type VchanReason } from "@vchan/vchan"
import { Effect, Sink, Stream } from "effect"

class Ring {
  readonly bytes: Uint8Array
  private read = 0
  private written = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  get available(): number {
    return this.written - this.read
  }

  get space(): number {
    return this.bytes.length - this.available
  }

  push(bytes: Uint8Array, offset: number, length: number): number {
    const count = Math.min(length, this.space)
    const at = this.written % this.bytes.length
    const first = Math.min(count, this.bytes.length - at)
    this.bytes.set(bytes.subarray(offset, offset + first), at)
    this.bytes.set(bytes.subarray(offset + first, offset + count), 0)
    this.written += count
    return count
  }

  pull(buffer: Uint8Array, offset: number, length: number): number {
    const count = Math.min(length, this.available)
    const at = this.read % this.bytes.length
    const first = Math.min(count, this.bytes.length - at)
    buffer.set(this.bytes.subarray(at, at + first), offset)
    buffer.set(this.bytes.subarray(0, count - first), offset + first)
    this.read += count
    return count
  }
}

const unused = () => Effect.die(new Error("only the Unsafe calls are there"))

/** One end. */
export class MemoryVchan implements Vchan {
  readonly role: "server" | "client"
  readonly peer: number
  readonly path = "data/rpc/test"
  readonly readRing: number
  readonly writeRing: number
  /** Most bytes that one read gives: 1 cuts every frame at every byte. */
  cut = Infinity
  other: MemoryVchan | undefined = undefined
  private readonly incoming: Ring
  private readonly outgoing: Ring
  private listener: VchanListener | undefined = undefined
  private error: VchanError | undefined = undefined
  private told = false
  private wantsSpace = false
  private scheduled = false
  private refused = 0

  constructor(role: "server" | "client", peer: number, incoming: Ring, outgoing: Ring) {
    this.role = role
    this.peer = peer
    this.incoming = incoming
    this.outgoing = outgoing
    this.readRing = incoming.bytes.length
    this.writeRing = outgoing.bytes.length
  }

  readonly readInto = unused
  readonly write = unused
  readonly writeAll = unused
  readonly receive = unused
  readonly send = unused
  readonly stream = Stream.fromEffect(unused())
  readonly sink = Sink.fromEffect(unused())
  readonly ended = unused()

  readonly availableUnsafe = () => this.incoming.available
  readonly spaceUnsafe = () => this.error === undefined ? this.outgoing.space : 0

  readonly readUnsafe = (buffer: Uint8Array, offset: number, length: number) => {
    const count = this.incoming.pull(buffer, offset, Math.min(length, this.cut))
    if (count > 0) this.other?.look()
    if (count > 0 && this.refused > 0) {
      this.refused = 0
      this.look()
    }
    return count
  }

  readonly writeUnsafe = (bytes: Uint8Array, offset: number, length: number) => {
    if (this.error !== undefined) return 0
    const count = this.outgoing.push(bytes, offset, length)
    if (count > 0) this.other?.look()
    return count
  }

  readonly wantSpaceUnsafe = () => {
    this.wantsSpace = true
    this.look()
  }

  readonly listenUnsafe = (listener: VchanListener) => {
    this.listener = listener
    this.look()
  }

  /** Ends the connection, as the Scope of a vchan does. */
  close(): void {
    this.end(new Closed())
    this.other?.end(new PeerGone())
  }

  /** Ends this side for that reason. */
  end(reason: typeof VchanReason.Type): void {
    this.error ??= new VchanError({ domid: this.peer, path: this.path, reason })
    this.look()
  }

  private look(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.turn()
    })
  }

  private turn(): void {
    const { listener } = this
    if (listener === undefined) return
    while (this.incoming.available > this.refused) {
      const before = this.incoming.available
      listener.readable()
      this.refused = this.incoming.available === before ? before : 0
    }
    if (this.error !== undefined) {
      if (!this.told) listener.ended(this.error)
      this.told = true
    } else if (this.wantsSpace && this.outgoing.space > 0) {
      this.wantsSpace = false
      listener.writable()
    }
  }
}

/** Both ends, with rings of `size` bytes. The client is domain `client`, the server domain `server`. */
export const memoryVchans = (options: { readonly size?: number; readonly client?: number; readonly server?: number } = {}) => {
  const left = new Ring(options.size ?? 256 * 1024)
  const right = new Ring(options.size ?? 256 * 1024)
  const client = new MemoryVchan("client", options.server ?? 1, right, left)
  const server = new MemoryVchan("server", options.client ?? 7, left, right)
  client.other = server
  server.other = client
  return { client, server }
}
