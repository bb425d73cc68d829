/**
 * One end of a vchan that sends whatever frames it is told to. It belongs to the vchan's Scope.
 */
import type { Vchan } from "@vchan/vchan"
import { answerBytes, type FrameAction, frameBytes, type Greeting, nameOf, requestBytes, segmentBytes, uploadBytes } from "./frames.ts"

/** What waits to be sent is dropped beyond that: nobody takes it. */
const most = 4 * 1024 * 1024

interface Call {
  readonly id: number
  readonly method: number
}

export class FramePeer {
  private readonly vchan: Vchan
  private readonly waiting: Array<Uint8Array> = []
  private waitingBytes = 0
  private reads = true
  private received = Buffer.alloc(0)
  /** The last requests that came, or were made, and the methods they are for. */
  private readonly requests: Array<Call> = []

  private readonly note: (met: string) => void
  private readonly codec: Greeting["codec"]

  /** Sends its Hello at once, if it has one. */
  constructor(vchan: Vchan, { codec, hello }: Greeting, note: (met: string) => void) {
    this.vchan = vchan
    this.codec = codec
    this.note = note
    vchan.listenUnsafe({
      readable: () => this.read(),
      writable: () => this.flush(),
      ended: () => {}
    })
    if (hello !== undefined) this.send(frameBytes({ type: 1, flags: 0, method: 0, id: 0, body: hello }))
  }

  /** What it keeps itself, in bytes. */
  get held(): number {
    return this.waitingBytes + this.received.buffer.byteLength
  }

  /** Does one thing; returns how many turns to wait. */
  act(action: FrameAction): number {
    switch (action.does) {
      case "frame": {
        const call = this.callOf(action)
        if (call !== undefined) this.send(frameBytes({ ...action, ...call }))
        return 0
      }
      case "segments": {
        const call = this.callOf(action)
        if (call !== undefined) { for (const bytes of segmentBytes({ ...action, ...call })) this.send(bytes) }
        return 0
      }
      case "request":
        this.remember(action)
        this.send(requestBytes(action, this.codec))
        return 0
      case "answer":
        for (const bytes of this.answer(action.id)) this.send(bytes)
        return 0
      case "bytes":
        this.send(action.bytes)
        return 0
      case "listen":
        this.reads = action.reads
        this.read()
        return 0
      case "wait":
        return action.turns
    }
  }

  private callOf(action: Call & { readonly real: boolean }): Call | undefined {
    const { id, method } = action
    return action.real ? this.requests[id % this.requests.length] : { id, method }
  }

  private answer(index: number): ReadonlyArray<Uint8Array> {
    const [call] = this.requests.splice(index % Math.max(1, this.requests.length), 1)
    if (call === undefined) return []
    return this.vchan.role === "server" ? answerBytes(call, this.codec) : uploadBytes(call, this.codec)
  }

  private remember({ id, method }: Call): void {
    this.requests.unshift({ id, method })
    this.requests.length = Math.min(this.requests.length, 8)
  }

  private send(bytes: Uint8Array): void {
    if (this.waitingBytes + bytes.length > most) return
    this.waiting.push(bytes)
    this.waitingBytes += bytes.length
    this.flush()
  }

  private flush(): void {
    for (let bytes = this.waiting[0]; bytes !== undefined; bytes = this.waiting[0]) {
      const count = this.vchan.writeUnsafe(bytes, 0, bytes.length)
      this.waitingBytes -= count
      if (count < bytes.length) {
        this.waiting[0] = bytes.subarray(count)
        return this.vchan.wantSpaceUnsafe()
      }
      this.waiting.shift()
    }
  }

  private read(): void {
    if (!this.reads) return
    const buffer = Buffer.alloc(16 * 1024)
    const count = this.vchan.readUnsafe(buffer, 0, buffer.length)
    this.received = Buffer.concat([this.received, buffer.subarray(0, count)])
    for (;;) {
      const length = this.received.length < 12 ? Infinity : 4 + this.received.readUInt32LE(0)
      if (this.received.length < length) return
      const type = this.received.readUInt8(4)
      this.note(nameOf(type))
      if (type === 3) this.remember({ id: this.received.readUInt32LE(8), method: this.received.readUInt16LE(6) })
      this.received = this.received.subarray(length)
    }
  }
}
