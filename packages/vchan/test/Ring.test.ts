import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Consumer, Producer, type RingMemory } from "../src/Ring.ts"
import { pattern } from "./world.ts"

const memory = (size: number, Buffers: typeof ArrayBuffer | typeof SharedArrayBuffer = ArrayBuffer): RingMemory => ({
  indexes: new Int32Array(new Buffers(16)),
  header: new Uint8Array(new Buffers(24)),
  data: new Uint8Array(new Buffers(size)),
  cons: 0,
  prod: 1,
  askAt: 22,
  askedAt: 23
})

/** The same ring as its other side sees it. */
const opposite = (of: RingMemory): RingMemory => ({ ...of, askAt: of.askedAt, askedAt: of.askAt })

const startAt = (ring: RingMemory, position: number): RingMemory => {
  ring.indexes[0] = position
  ring.indexes[1] = position
  return ring
}

const starts = [0, 1, 1023, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2 ** 32 - 1000, 2 ** 32 - 1024]

for (const Buffers of [ArrayBuffer, SharedArrayBuffer]) {
  describe(`a ring in ${Buffers.name}`, () => {
    for (const start of starts) {
      it(`holds exactly its size, with indexes from ${start} on`, () => {
        const ring = startAt(memory(1024, Buffers), start)
        const producer = new Producer(ring)
        const consumer = new Consumer(opposite(ring))
        const bytes = pattern(1025)
        assert.strictEqual(producer.space(), 1024)
        assert.strictEqual(producer.write(bytes, 0, 1025), 1024)
        assert.strictEqual(producer.space(), 0)
        assert.strictEqual(producer.write(bytes, 0, 1), 0)
        assert.strictEqual(consumer.available(), 1024)
        assert.strictEqual((ring.indexes[1] ?? 0) >>> 0, (start + 1024) >>> 0)
        const into = new Uint8Array(1100)
        assert.strictEqual(consumer.read(into, 7, 1093), 1024)
        assert.deepStrictEqual(into.subarray(7, 1031), bytes.subarray(0, 1024))
        assert.strictEqual(consumer.available(), 0)
        assert.strictEqual(producer.space(), 1024)
        assert.isUndefined(producer.corrupt)
        assert.isUndefined(consumer.corrupt)
      })
    }

    it("carries every length over every place of the ring's edge", () => {
      for (let at = 0; at < 16; at++) {
        for (let length = 1; length <= 16; length++) {
          const ring = startAt(memory(16, Buffers), 2 ** 32 - 16 + at)
          const into = new Uint8Array(16)
          assert.strictEqual(new Producer(ring).write(pattern(length + 3), 3, length), length)
          assert.strictEqual(new Consumer(opposite(ring)).read(into, 0, length), length)
          assert.deepStrictEqual(into.subarray(0, length), pattern(length + 3).subarray(3))
        }
      }
    })
  })
}

describe("packets", () => {
  it("are written whole or not at all", () => {
    const ring = memory(16)
    const producer = new Producer(ring)
    const consumer = new Consumer(opposite(ring))
    assert.strictEqual(producer.write(pattern(10), 0, 10, 10), 10)
    assert.strictEqual(producer.write(pattern(7), 0, 7, 7), 0)
    assert.strictEqual(producer.write(pattern(6), 0, 6, 6), 6)
    assert.strictEqual(consumer.read(new Uint8Array(17), 0, 17, 17), 0)
    assert.strictEqual(consumer.available(), 16)
    assert.strictEqual(consumer.read(new Uint8Array(16), 0, 16, 16), 16)
  })
})

describe("many buffers at once", () => {
  it("are written whole while they fit, and published together", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(16, 64, 1024),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.array(fc.record({ lengths: fc.array(fc.nat(40), { maxLength: 20 }), index: fc.nat(3), read: fc.nat(80) }), { maxLength: 60 }),
        (size, start, rounds) => {
          const ring = startAt(memory(size), start)
          const producer = new Producer(ring)
          const consumer = new Consumer(opposite(ring))
          const queue: Array<number> = []
          let next = 0
          for (const { index, lengths, read } of rounds) {
            const buffers = lengths.map((length) => pattern(length, next += length))
            const space = size - queue.length
            let [expected, bytes] = [0, 0]
            for (const { length } of space === 0 ? [] : buffers.slice(index)) {
              if (bytes + length > space) break
              bytes += length
              expected++
            }
            assert.strictEqual(producer.writeEach(buffers, index), expected)
            for (const buffer of buffers.slice(index, index + expected)) queue.push(...buffer)
            assert.strictEqual(consumer.available(), queue.length)
            const into = new Uint8Array(read)
            const count = consumer.read(into, 0, read)
            assert.deepStrictEqual([...into.subarray(0, count)], queue.splice(0, count))
          }
        }
      )
    )
  })

  it("are published in parts, so that the peer begins with the first", () => {
    const ring = memory(1 << 20)
    const producer = new Producer(ring)
    const buffers = Array.from({ length: 1000 }, () => pattern(1024))
    const count = producer.writeEach(buffers, 0)
    assert.isTrue(count > 0 && count <= 64, `${count} of them`)
    assert.strictEqual(new Consumer(opposite(ring)).available(), 1024 * count)
    assert.strictEqual(producer.writeEach([pattern(1 << 19)], 0), 0, "one that is long is written by itself")
  })
})

describe("a hostile peer", () => {
  const lies = [1, 2, 1025, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 1024]
  for (const lie of lies) {
    it(`that claims ${1024 + lie} bytes in a ring of 1024 is found out by the consumer`, () => {
      const ring = startAt(memory(1024), 0xFFFFFFF0)
      const consumer = new Consumer(ring)
      ring.indexes[1] = 0xFFFFFFF0 + 1024 + lie
      assert.strictEqual(consumer.available(), 0)
      assert.strictEqual(consumer.read(new Uint8Array(2000), 0, 2000), 0)
      assert.strictEqual(consumer.corrupt, (1024 + lie) >>> 0)
      ring.indexes[1] = 0xFFFFFFF0 + 1
      assert.strictEqual(consumer.available(), 0, "nothing moves any more")
      assert.strictEqual((ring.indexes[0] ?? 0) >>> 0, 0xFFFFFFF0)
    })

    it(`that claims to have consumed ${lie} bytes more than there were is found out by the producer`, () => {
      const ring = startAt(memory(1024), 5)
      const producer = new Producer(ring)
      producer.write(pattern(100), 0, 100)
      ring.indexes[0] = 105 + lie
      assert.strictEqual(lie % 2 === 0 ? producer.write(pattern(9), 0, 9) : producer.writeEach([pattern(9)], 0), 0)
      assert.isNumber(producer.corrupt)
      assert.strictEqual(producer.space(), 0)
      assert.strictEqual(ring.indexes[1], 105)
    })
  }

  it("cannot move the own index", () => {
    const ring = memory(16)
    const producer = new Producer(ring)
    const consumer = new Consumer(opposite(ring))
    producer.write(pattern(8), 0, 8)
    ring.indexes[1] = 3
    assert.strictEqual(producer.write(pattern(4), 0, 4), 4)
    assert.strictEqual(ring.indexes[1], 12)
    consumer.read(new Uint8Array(5), 0, 5)
    ring.indexes[0] = 11
    assert.strictEqual(consumer.available(), 7)
  })
})

describe("notify bits", () => {
  it("a request is answered once, and only that of the same kind", () => {
    const ring = memory(16)
    const producer = new Producer(ring)
    const consumer = new Consumer(opposite(ring))
    assert.isFalse(producer.takeNotify())
    consumer.request()
    producer.request()
    assert.isTrue(producer.takeNotify())
    assert.isFalse(producer.takeNotify())
    assert.isTrue(consumer.takeNotify())
    assert.isFalse(consumer.takeNotify())
  })
})

describe("the end", () => {
  it("a frozen ring gives what was there, and not what comes later", () => {
    const ring = memory(16)
    const producer = new Producer(ring)
    const consumer = new Consumer(opposite(ring))
    producer.write(pattern(10), 0, 10)
    consumer.freeze()
    producer.write(pattern(4), 0, 4)
    assert.strictEqual(consumer.read(new Uint8Array(16), 0, 7), 7)
    assert.strictEqual(consumer.available(), 3)
    consumer.skip()
    assert.strictEqual(consumer.available(), 0)
    assert.strictEqual(new Consumer(ring).available(), 4)
  })

  it("a closed ring does not touch its memory", () => {
    const ring = memory(16)
    const producer = new Producer(ring)
    const consumer = new Consumer(opposite(ring))
    producer.write(pattern(4), 0, 4)
    producer.close()
    consumer.close()
    const before = [...ring.indexes, ...ring.header, ...ring.data]
    assert.strictEqual(producer.write(pattern(4), 0, 4), 0)
    assert.strictEqual(producer.writeEach([pattern(0), pattern(4)], 0), 0)
    assert.strictEqual(consumer.read(new Uint8Array(4), 0, 4), 0)
    assert.strictEqual(consumer.available() + producer.space(), 0)
    producer.request()
    consumer.request()
    consumer.skip()
    assert.isFalse(producer.takeNotify() || consumer.takeNotify())
    assert.deepStrictEqual([...ring.indexes, ...ring.header, ...ring.data], before)
    assert.isUndefined(producer.corrupt ?? consumer.corrupt)
  })
})

describe("against a plain queue", () => {
  const operation = fc.record({ write: fc.boolean(), length: fc.nat(80), offset: fc.nat(8), whole: fc.boolean() })

  it("any sequence of writes and reads, whole or in part, gives the same bytes in the same order", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(16, 64),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.array(operation, { maxLength: 200 }),
        (size, start, operations) => {
          const ring = startAt(memory(size), start)
          const producer = new Producer(ring)
          const consumer = new Consumer(opposite(ring))
          const queue: Array<number> = []
          let next = 0
          for (const { length, offset, whole, write } of operations) {
            const least = whole ? length : 0
            if (write) {
              const bytes = pattern(offset + length, next)
              const space = size - queue.length
              const expected = whole && length > space ? 0 : Math.min(length, space)
              assert.strictEqual(producer.write(bytes, offset, length, least), expected)
              queue.push(...bytes.subarray(offset, offset + expected))
              next += expected
            } else {
              const into = new Uint8Array(offset + length)
              const expected = whole && length > queue.length ? 0 : Math.min(length, queue.length)
              assert.strictEqual(consumer.read(into, offset, length, least), expected)
              assert.deepStrictEqual([...into.subarray(offset, offset + expected)], queue.splice(0, expected))
            }
            assert.strictEqual(consumer.available(), queue.length)
            assert.strictEqual(producer.space(), size - queue.length)
          }
        }
      )
    )
  })
})
