import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { countedHeaderLength, FrameType, headerLength } from "../src/Frame.ts"
import { FrameReader, type FrameSource } from "../src/FrameReader.ts"
import { FrameWriter } from "../src/FrameWriter.ts"

interface Frame {
  readonly type: number
  readonly method: number
  readonly id: number
  readonly body: ReadonlyArray<number>
}

const encode = (frames: ReadonlyArray<Frame>): Uint8Array => {
  const writer = new FrameWriter()
  for (const { body, id, method, type } of frames) writer.frame(type, method, id, Uint8Array.from(body))
  let out = new Uint8Array(0)
  writer.drain({
    writeUnsafe: (bytes, offset, length) => {
      out = bytes.slice(offset, offset + length)
      return length
    }
  })
  return out
}

/** Gives the bytes in pieces of the lengths told, the last one again and again. */
const source = (bytes: Uint8Array, cuts: ReadonlyArray<number>): FrameSource => {
  let at = 0
  let turn = 0
  return {
    readUnsafe: (buffer, offset, length) => {
      const cut = cuts[Math.min(turn++, cuts.length - 1)] ?? Infinity
      const count = Math.min(length, cut, bytes.length - at)
      buffer.set(bytes.subarray(at, at + count), offset)
      at += count
      return count
    }
  }
}

const decode = (bytes: Uint8Array, cuts: ReadonlyArray<number>, limit = 1 << 20) => {
  const reader = new FrameReader(limit)
  const from = source(bytes, cuts)
  const frames: Array<Frame> = []
  for (;;) {
    const found = reader.next()
    if (typeof found === "string") return { frames, problem: found, reader }
    if (found) frames.push({ type: reader.type, method: reader.method, id: reader.id, body: [...reader.body] })
    else if (reader.fill(from) === 0) return { frames, problem: undefined, reader }
  }
}

const frame = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  method: fc.integer({ min: 0, max: 0xFFFF }),
  id: fc.integer({ min: 0, max: 0xFFFF_FFFF }),
  body: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 100 })
})

const three: ReadonlyArray<Frame> = [
  { type: FrameType.Request, method: 3, id: 0xFFFF_FFFF, body: [1, 2, 3] },
  { type: FrameType.End, method: 0xFFFF, id: 0, body: [] },
  { type: FrameType.Chunk, method: 0, id: 7, body: Array.from({ length: 40 }, (_, index) => index) }
]

describe("Frame", () => {
  it("a frame's bytes are the ones documented", () => {
    expect([...encode([{ type: 3, method: 0x0102, id: 0x03040506, body: [0xAA] }])]).toEqual([9, 0, 0, 0, 3, 0, 2, 1, 6, 5, 4, 3, 0xAA])
  })

  it("frames cut at every byte are the same frames", () => {
    const bytes = encode(three)
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(decode(bytes, [cut, Infinity]).frames).toEqual(three)
    }
    expect(decode(bytes, [1]).frames).toEqual(three)
  })

  it("any frames in any cuts come out as they went in", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (frames, cuts) => {
        expect(decode(encode(frames), cuts).frames).toEqual(frames)
      })
    )
  })

  it("long frames among short ones come out as they went in, in any cuts", () => {
    const lengths = fc.array(fc.oneof(fc.nat(50), fc.integer({ min: 16_000, max: 17_000 }), fc.integer({ min: 40_000, max: 67_000 })), {
      maxLength: 12
    })
    const cuts = fc.array(fc.oneof(fc.integer({ min: 500, max: 5000 }), fc.integer({ min: 10_000, max: 300_000 })), { minLength: 1 })
    fc.assert(
      fc.property(lengths, cuts, (lengths, cuts) => {
        const frames = lengths.map((length, id) => ({ type: 3, method: 1, id, body: Array.from({ length }, (_, at) => (at + id) & 255) }))
        expect(decode(encode(frames), cuts).frames).toEqual(frames)
      }),
      { numRuns: 10 }
    )
  })

  it("any bytes in any cuts give the same frames and the same problem as all at once", () => {
    const bytes = fc.uint8Array({ maxLength: 400 })
    fc.assert(
      fc.property(bytes, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (bytes, cuts) => {
        const whole = decode(bytes, [Infinity], 64)
        const cut = decode(bytes, cuts, 64)
        expect([cut.frames, cut.problem]).toEqual([whole.frames, whole.problem])
      })
    )
  })

  it("a length at the limit is a frame, and one more is none", () => {
    const body = Array.from({ length: 100 }, () => 5)
    const bytes = encode([{ type: 1, method: 0, id: 0, body }])
    expect(decode(bytes, [Infinity], 100 + countedHeaderLength).frames).toHaveLength(1)
    expect(decode(bytes, [Infinity], 99 + countedHeaderLength).problem).toContain("over the limit of 107 bytes")
  })

  it("a length shorter than the header is no frame", () => {
    expect(decode(Uint8Array.from([7, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]), [Infinity]).problem).toContain("shorter than its header")
  })

  it("a length field alone makes the slab no larger", () => {
    const promise = Uint8Array.from([0, 0, 0x10, 0, 1, 0, 0, 0])
    const { problem, reader } = decode(promise, [Infinity], 1 << 20)
    expect(problem).toBeUndefined()
    expect(reader.capacity).toBe(512)
  })

  it("the slab grows with what has come, up to one frame of the limit", () => {
    const limit = 300_000
    const length = limit - countedHeaderLength
    const whole = encode([{ type: 1, method: 0, id: 0, body: Array.from({ length }, () => 1) }])
    const part = decode(whole.subarray(0, 20_000), [1000], limit)
    expect(part.reader.capacity).toBeLessThanOrEqual(40_960)
    const all = decode(whole, [1000], limit)
    expect(all.frames[0]?.body).toHaveLength(length)
    expect(all.reader.capacity).toBeLessThanOrEqual(8 * 1024)
  })

  it("the slab of a source that has more grows, and rests when nothing comes", () => {
    const frames = encode(Array.from({ length: 4000 }, (_, id) => ({ type: FrameType.Credit, method: 0, id, body: [1, 0, 0, 0] })))
    const { reader } = decode(frames, [Infinity], 64)
    expect(reader.capacity).toBe(8 * 1024)
    reader.rest()
    expect(reader.capacity).toBe(512)
    const begun = decode(frames.subarray(0, -1), [Infinity], 64).reader
    begun.rest()
    expect(begun.capacity).toBe(8 * 1024)
  })

  it("the writer's slab grows with what waits, and rests when nothing does", () => {
    const writer = new FrameWriter()
    for (let id = 0; id < 1000; id++) writer.number(FrameType.Credit, 0, id, 100)
    writer.rest()
    expect(writer.capacity).toBeGreaterThanOrEqual(16_000)
    writer.drain({ writeUnsafe: (_: Uint8Array, __: number, length: number) => length })
    writer.rest()
    expect(writer.capacity).toBe(512)
  })

  it("what a full sink leaves is written later, in order", () => {
    const writer = new FrameWriter()
    const out: Array<number> = []
    let room = 0
    const sink = {
      writeUnsafe: (bytes: Uint8Array, offset: number, length: number) => {
        const count = Math.min(length, room)
        room -= count
        out.push(...bytes.subarray(offset, offset + count))
        return count
      }
    }
    const expected: Array<number> = []
    for (let id = 0; id < 2000; id++) {
      const one = [{ type: FrameType.Success, method: 1, id, body: [id & 0xFF] }]
      expected.push(...encode(one))
      writer.frame(FrameType.Success, 1, id, Uint8Array.from([id & 0xFF]))
      room = 9
      writer.drain(sink)
    }
    room = Infinity
    expect(writer.drain(sink)).toBe(true)
    expect(out).toEqual(expected)
    expect(writer.length).toBe(0)
  })

  it("the writer's slab does not grow while the sink keeps up", () => {
    const writer = new FrameWriter()
    const sink = { writeUnsafe: (_: Uint8Array, __: number, length: number) => length }
    for (let id = 0; id < 10_000; id++) {
      writer.number(FrameType.Credit, 0, id, 100)
      if (id % 10 === 9) writer.drain(sink)
    }
    expect(writer.capacity).toBe(512)
    expect(headerLength).toBe(12)
  })
})
