import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assembly, type Budget } from "../src/Assembly.ts"
import { BufferPool } from "../src/BufferPool.ts"
import { Flag, FrameType, maxBody } from "../src/Frame.ts"
import { FrameReader, type FrameSource } from "../src/FrameReader.ts"
import { FrameWriter } from "../src/FrameWriter.ts"
import { Outbox } from "../src/Outbox.ts"

const mebibyte = 1024 * 1024

const bodyOf = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 31 + seed) & 0xFF)

const message = (id: number, length: number, done?: () => void) => ({
  type: FrameType.Success,
  flags: 0,
  method: 3,
  id,
  body: bodyOf(length, id),
  done
})

const sourceOf = (all: Buffer): FrameSource => {
  let at = 0
  return {
    readUnsafe: (buffer, offset, length) => {
      const count = all.copy(buffer, offset, at, Math.min(all.length, at + length))
      at += count
      return count
    }
  }
}

/** Sends all that is in the outbox through a sink that takes so many bytes at a time, and gives the frames. */
const drain = (outbox: Outbox, takes: ReadonlyArray<number> = [Infinity]) => {
  const writer = new FrameWriter()
  const bytes: Array<Uint8Array> = []
  let turn = 0
  const sink = {
    writeUnsafe: (from: Uint8Array, offset: number, length: number) => {
      const count = Math.min(length, takes[turn++ % takes.length] ?? length)
      bytes.push(from.slice(offset, offset + count))
      return count
    }
  }
  for (;;) {
    while (!writer.drain(sink));
    if (outbox.next(writer, sink) === 0) break
  }
  const reader = new FrameReader(maxBody + 8)
  const frames: Array<{ type: number; flags: number; method: number; id: number; body: Uint8Array }> = []
  const from = sourceOf(Buffer.concat(bytes))
  for (;;) {
    const found = reader.next()
    if (typeof found === "string") throw new Error(found)
    if (!found && reader.fill(from) === 0) return frames
    if (found) {
      const { flags, id, method, type } = reader
      frames.push({ type, flags, method, id, body: reader.body.slice() })
    }
  }
}

const assemblyOf = (limit: number, budget: Budget = { limit, used: 0 }) => {
  const assembly = new Assembly(budget, new BufferPool())
  assembly.setLimit(limit)
  return { assembly, budget }
}

const outboxOf = (peerMemory = 64 * mebibyte) => {
  const outbox = new Outbox(new BufferPool())
  outbox.setPeerMemory(peerMemory)
  return outbox
}

describe("Outbox and Assembly", () => {
  it("any messages come out as they went in, through a sink that takes any part of what it is given", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 5 * maxBody }), { minLength: 1, maxLength: 5 })
    const takes = fc.array(fc.integer({ min: 0, max: maxBody * 2 }), { minLength: 1, maxLength: 5 }).filter((list) =>
      list.some((n) => n > 100)
    )
    fc.assert(
      fc.property(lengths, takes, fc.constantFrom(5 * maxBody, 8 * maxBody, mebibyte), (lengths, takes, peerMemory) => {
        const outbox = outboxOf(peerMemory)
        lengths.forEach((length, id) => {
          if (id % 2 === 0) return outbox.add(message(id, length))
          const copied = message(id, length)
          outbox.addCopy(copied)
          copied.body.fill(0)
        })
        const { assembly, budget } = assemblyOf(5 * maxBody, { limit: peerMemory, used: 0 })
        const found = new Map<number, Uint8Array>()
        for (const frame of drain(outbox, takes)) {
          const body = assembly.wants(frame) ? assembly.take(frame) : frame.body
          if (typeof body === "string") throw new Error(body)
          if (body !== undefined) found.set(frame.id, body)
        }
        lengths.forEach((length, id) => expect(Buffer.compare(found.get(id) ?? new Uint8Array(0), bodyOf(length, id))).toBe(0))
        expect([outbox.size, outbox.bytes, budget.used]).toEqual([0, 0, 0])
      }),
      { numRuns: 50 }
    )
  })

  it("a message that fits in one frame is not cut, and one byte more is", () => {
    const outbox = outboxOf()
    outbox.add(message(1, maxBody))
    outbox.add(message(2, maxBody + 1))
    expect(drain(outbox).map(({ body, flags, id }) => [id, flags, body.length])).toEqual([
      [1, 0, maxBody],
      [2, Flag.More, maxBody],
      [2, 0, 5]
    ])
  })

  it("messages take turns, a segment each", () => {
    const outbox = outboxOf()
    outbox.add(message(1, 3 * maxBody - 8))
    outbox.add(message(2, maxBody))
    outbox.add(message(3, 2 * maxBody - 8))
    expect(drain(outbox).map(({ id }) => id)).toEqual([1, 2, 3, 1, 3, 1])
  })

  it("each tells that it is done when the last of it has gone", () => {
    const done: Array<number> = []
    const outbox = outboxOf()
    for (const id of [1, 2]) outbox.add(message(id, (3 - id) * maxBody, () => done.push(id)))
    drain(outbox)
    expect(done).toEqual([2, 1])
  })

  it("a message does not begin where the peer has no memory for it, and does when others have ended", () => {
    const outbox = outboxOf(4 * maxBody)
    outbox.add(message(1, 3 * maxBody - 8))
    outbox.add(message(2, 2 * maxBody - 8))
    outbox.add(message(3, 10))
    expect(drain(outbox).map(({ id }) => id)).toEqual([1, 3, 1, 1, 2, 2])
  })

  it("one that is taken back leaves room for the others, and tells whether the peer has some of it", () => {
    const outbox = outboxOf(3 * maxBody)
    for (const id of [1, 2]) outbox.add(message(id, 2 * maxBody))
    const writer = new FrameWriter()
    outbox.next(writer, { writeUnsafe: (_, __, length) => length })
    expect([outbox.cancel(1), outbox.cancel(9)]).toEqual(["begun", undefined])
    outbox.add(message(3, 2 * maxBody))
    expect(outbox.cancel(3)).toBe("whole")
    expect(drain(outbox).map(({ id }) => id)).toEqual([2, 2, 2])
    expect(outbox.bytes).toBe(0)
  })
})

describe("Assembly", () => {
  const first = (total: number, length: number, id = 1, type: number = FrameType.Request) => {
    const body = new Uint8Array(4 + length)
    new DataView(body.buffer).setUint32(0, total, true)
    return { type, flags: Flag.More, method: 0, id, body }
  }
  const next = (length: number, flags: number = Flag.More, id = 1, type: number = FrameType.Request) => ({
    type,
    flags,
    method: 0,
    id,
    body: new Uint8Array(length)
  })
  const limit = 256 * 1024

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<ReturnType<typeof next>>, string]> = [
    ["over the limit of a message", [first(limit + 1, 10)], "over the limit of 262144 bytes"],
    ["that fits in one frame", [first(maxBody, 10)], "which fits in one"],
    ["of a type that has no segments", [first(100_000, 10, 1, FrameType.Credit)], "a frame of type 5 cut"],
    ["without a length", [next(4)], "a first segment of 4 bytes"],
    ["whose first segment is longer than it", [first(maxBody + 1, maxBody + 1)], "longer than its message"],
    ["with a segment of no bytes", [first(100_000, 10), next(0)], "10 bytes and more in segments of a message of 100000"],
    ["that is longer than promised", [first(100_000, 60_000), next(40_000)], "100000 bytes and more"],
    ["whose end is longer than promised", [first(100_000, 60_000), next(40_001, 0)], "100001 bytes in segments"],
    ["that ends early", [first(100_000, 60_000), next(1000, 0)], "61000 bytes in segments of a message of 100000"],
    ["whose segments differ in their method", [first(100_000, 10), { ...next(10), method: 1 }], "differ in their headers"],
    ["whose segments differ in their flags", [first(100_000, 10), next(10, Flag.More | Flag.Envelope)], "differ in their headers"],
    ["over the memory", [first(limit, 10), first(limit, 10, 2)], "where 100000 are left"]
  ]
  it.each(wrong)("a message %s is none", (_, frames, detail) => {
    const { assembly } = assemblyOf(limit, { limit: limit + 100_000, used: 0 })
    const found = frames.map((frame) => assembly.take(frame))
    expect(found.slice(0, -1).every((body) => body === undefined)).toBe(true)
    expect(found.at(-1)).toContain(detail)
  })

  it("messages that never end use no more than the memory, whatever comes, and give it back", () => {
    const { assembly, budget } = assemblyOf(limit, { limit: 1024 * 1024, used: 0 })
    for (let id = 0; id < 100_000; id++) assembly.take(first(maxBody + 1 + (id % 1000), 1, id))
    expect(budget.used).toBeLessThanOrEqual(budget.limit)
    assembly.clear()
    expect(budget.used).toBe(0)
  })

  it("a message of another type with the same id takes the place of one that did not end", () => {
    const { assembly, budget } = assemblyOf(limit)
    assembly.take(first(100_000, 10, 1, FrameType.Chunk))
    expect(assembly.take(first(90_000, 10, 1, FrameType.Failure))).toBeUndefined()
    expect(budget.used).toBe(90_000)
    expect(assembly.drop(1)).toBe(FrameType.Failure)
    expect([assembly.drop(1), budget.used]).toEqual([undefined, 0])
  })

  it("any frames use no more than the memory and leave nothing", () => {
    const frame = fc.record({
      type: fc.constantFrom(FrameType.Request, FrameType.Chunk),
      flags: fc.integer({ min: 0, max: 3 }),
      method: fc.integer({ min: 0, max: 1 }),
      id: fc.integer({ min: 0, max: 2 }),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc.integer({ min: maxBody, max: maxBody + 20 }).map((total) => first(total, 7).body),
        fc.constant(new Uint8Array(maxBody))
      )
    })
    fc.assert(fc.property(fc.array(frame), (frames) => {
      const { assembly, budget } = assemblyOf(limit, { limit: 2 * maxBody + 20, used: 0 })
      for (const frame of frames) {
        if (assembly.wants(frame)) assembly.take(frame)
        expect(budget.used >= 0 && budget.used <= budget.limit).toBe(true)
      }
      assembly.clear()
      expect(budget.used).toBe(0)
    }))
  })
})
