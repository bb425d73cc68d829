/** One end of an in-memory vchan that sends any frames it is told to, and keeps those that come. */
import { Array as Arr, Effect } from "effect"
import { Flag, FrameType } from "../../src/Frame.ts"
import { FrameReader } from "../../src/FrameReader.ts"
import { FrameWriter } from "../../src/FrameWriter.ts"
import { encodeHello, type Hello } from "../../src/Hello.ts"
import { limitsFrom } from "../../src/Limits.ts"
import type { MemoryVchan } from "./memoryVchan.ts"

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly method: number
  readonly id: number
  readonly body: Uint8Array
}

export class RawPeer {
  readonly frames: Array<Frame> = []
  readonly vchan: MemoryVchan
  ended = false
  /** Whether it takes leave of a server that goes away. */
  leaves = true
  /** Whether it reads what comes. */
  reads: boolean
  private readonly reader = new FrameReader(16 * 1024 * 1024)
  private readonly writer = new FrameWriter()

  constructor(vchan: MemoryVchan, reads = true) {
    this.vchan = vchan
    this.reads = reads
    vchan.listenUnsafe({
      readable: () => this.read(),
      writable: () => this.flush(),
      ended: () => {
        this.ended = true
      }
    })
  }

  hello(hello: Partial<Hello> & Pick<Hello, "methods">): void {
    this.send(
      FrameType.Hello,
      0,
      0,
      encodeHello({ service: "test", limits: { ...limitsFrom({}), window: 4096 }, ...hello })
    )
  }

  send(type: number, method: number, id: number, body: Uint8Array = new Uint8Array(0)): void {
    this.writer.frame(type, method, id, body)
    this.flush()
  }

  /** A first segment, which promises a message of that many bytes. */
  first(type: number, method: number, id: number, total: number, body: Uint8Array): void {
    const bytes = new Uint8Array(4 + body.length)
    new DataView(bytes.buffer).setUint32(0, total, true)
    bytes.set(body, 4)
    this.more(type, method, id, bytes)
  }

  /** A segment that is not the last. */
  more(type: number, method: number, id: number, body: Uint8Array): void {
    this.writer.flagged(type, Flag.More, method, id, body, new Uint8Array(0))
    this.flush()
  }

  /** A request with those bytes of an envelope. */
  envelope(method: number, id: number, envelope: Uint8Array, payload: Uint8Array): void {
    this.writer.flagged(FrameType.Request, Flag.Envelope, method, id, envelope, payload)
    this.flush()
  }

  credit(id: number, count: number): void {
    this.writer.number(FrameType.Credit, 0, id, count)
    this.flush()
  }

  bytes(bytes: Uint8Array): void {
    this.vchan.writeUnsafe(bytes, 0, bytes.length)
  }

  /** The first frame that `is` picks, of those that came or come. */
  readonly frame = (is: (frame: Frame) => boolean): Effect.Effect<Frame> => until(() => this.frames.find(is))

  readonly typed = (type: number, id = 0): Effect.Effect<Frame> => this.frame((frame) => frame.type === type && frame.id === id)

  read(): void {
    if (!this.reads) return
    for (;;) {
      const found = this.reader.next()
      if (found === true) {
        const { flags, id, method, type } = this.reader
        this.frames.push({ type, flags, method, id, body: this.reader.body.slice() })
        if (type === FrameType.GoingAway && this.leaves) this.send(FrameType.GoingAway, 0, 0)
      } else if (found !== false || this.reader.fill(this.vchan) === 0) {
        return
      }
    }
  }

  private flush(): void {
    if (!this.writer.drain(this.vchan)) this.vchan.wantSpaceUnsafe()
  }
}

/** Waits for what `look` finds, turn by turn. The test's own time bounds it. */
export const until = <A>(look: () => A | undefined): Effect.Effect<A> =>
  Effect.suspend(() => {
    const found = look()
    return found === undefined ? Effect.flatMap(turn, () => until(look)) : Effect.succeed(found)
  })

/** Lets everybody else have a turn. */
export const turn: Effect.Effect<void> = Effect.callback((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Lets everybody else have so many turns: for what must not happen. */
export const turns = (count: number): Effect.Effect<void> => Effect.forEach(Arr.range(1, count), () => turn, { discard: true })

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
