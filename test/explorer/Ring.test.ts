import { describe } from "@effect/vitest"
// First: it has to see what the product captures when it loads.
import "./access.ts"
import { Consumer, Producer, type RingMemory } from "../../packages/vchan/src/Ring.ts"
import { finds, holds, large } from "./report.ts"
import { type Ends, honest, reading, writing } from "./ringSides.ts"
import { world } from "./world.ts"

/** One ring of `2 ** order` bytes, whose indexes wrap: messages written, and read by at most `most` bytes. */
const ring =
  (order: number, lengths: ReadonlyArray<number>, most: number, producer: Partial<Ends> = {}, consumer: Partial<Ends> = {}) => () => {
    const shared = world({ left: order, right: 0, start: -2 })
    const total = lengths.reduce((sum, each) => sum + each, 0)
    return {
      ...shared,
      programs: [writing(shared, lengths, { ...honest, ...producer }), reading(shared, total, most, { ...honest, ...consumer })] as const
    }
  }

/** Writes each message as buffers of a byte, published together as far as they fit. */
class Together extends Producer {
  override write(bytes: Uint8Array, offset: number, length: number): number {
    return this.writeEach(Array.from({ length }, (_, at) => bytes.subarray(offset + at, offset + at + 1)), 0)
  }
}

const together = { producer: (memory: RingMemory) => new Together(memory) }

describe("a ring carries all bytes in order, and nobody sleeps for ever", () => {
  holds("a ring of 1 byte, messages of 3 and 1", ring(0, [3, 1], 1))
  holds("a ring of 2 bytes, messages of 3 and 2", ring(1, [3, 2], 2))
  holds("a ring of 2 bytes, single bytes, read two at once", ring(1, [1, 1, 1, 1, 1], 2))
  holds("a ring of 4 bytes, messages of 3", ring(2, [3, 3, 3], 4))
  holds("a ring of 4 bytes, read one at once", ring(2, [4, 3], 1))
  holds("a ring of 2 bytes, messages of 3 in buffers published together", ring(1, [3, 2], 2, together))
  holds("a ring of 4 bytes, messages of 3 in buffers published together", ring(2, [3, 3], 4, together))
  if (!large) return
  holds("a ring of 2 bytes, messages of 2", ring(1, [2, 2, 2, 2, 2, 2], 2))
  holds("a ring of 4 bytes, messages of 5", ring(2, [5, 5, 5], 4))
  holds("a ring of 4 bytes, messages of 3, read three at once", ring(2, [3, 3, 3, 3, 3], 3))
  holds("a ring of 8 bytes, messages of 7", ring(3, [7, 7, 7], 8), ["x86"])
})

const lostWakeUp = /lost wake-up/
const wrongByte = /byte \d+ of the stream came as/

/** Publishes as `publish` does, and copies before or after that. */
const writer = (before: boolean, publish: (memory: RingMemory, position: number) => void) =>
  class extends Producer {
    override write(bytes: Uint8Array, offset: number, length: number): number {
      const { mask, memory, position } = this
      const count = Math.min(length, this.space())
      if (count === 0) return 0
      this.position = (position + count) >>> 0
      const copy = (): void => {
        for (let at = 0; at < count; at++) memory.data[(position + at) & mask] = bytes[offset + at] ?? 0
      }
      if (before) copy()
      publish(memory, this.position | 0)
      if (!before) copy()
      return count
    }
  }

const atomically = (memory: RingMemory, position: number): void => void Atomics.store(memory.indexes, memory.prod, position)

const plainly = (memory: RingMemory, position: number): void => {
  memory.indexes[memory.prod] = position
}

/** Looks at the index without order. */
class PlainConsumer extends Consumer {
  override available(): number {
    const { cons, indexes, prod } = this.memory
    return cons === prod ? 0 : ((indexes[prod] ?? 0) - this.position) >>> 0
  }
}

/** Frees the space, and copies out afterwards. */
class HastyConsumer extends Consumer {
  override read(into: Uint8Array, offset: number, length: number): number {
    const { mask, memory, position } = this
    const count = Math.min(length, this.available())
    if (count === 0) return 0
    this.position = (position + count) >>> 0
    Atomics.store(memory.indexes, memory.cons, this.position | 0)
    for (let at = 0; at < count; at++) into[offset + at] = memory.data[(position + at) & mask] ?? 0
    return count
  }
}

/** Looks whether it is to ring before it publishes. */
class EarlyProducer extends Producer {
  private asked = false

  override write(bytes: Uint8Array, offset: number, length: number): number {
    this.asked = super.takeNotify()
    return super.write(bytes, offset, length)
  }

  override takeNotify(): boolean {
    return this.asked
  }
}

const swapped = (memory: RingMemory): RingMemory => ({ ...memory, askAt: memory.askedAt, askedAt: memory.askAt })

describe("a ring that is broken on purpose", () => {
  finds("a reader that does not look again before it sleeps", lostWakeUp, ring(1, [1, 1], 2, {}, { bytesAgain: () => false }))
  finds("a writer that does not look again before it sleeps", lostWakeUp, ring(0, [3], 1, { spaceAgain: () => false }))
  finds(
    "a reader with the notify bytes swapped",
    lostWakeUp,
    ring(1, [1, 1], 2, {}, { consumer: (memory) => new Consumer(swapped(memory)) })
  )
  finds("a writer with the notify bytes swapped", lostWakeUp, ring(1, [1, 1], 2, { producer: (memory) => new Producer(swapped(memory)) }))
  const PublishesFirst = writer(false, atomically)
  finds("a writer that publishes before it copies", wrongByte, ring(1, [1, 1], 2, { producer: (memory) => new PublishesFirst(memory) }))
  finds("a reader that frees before it copies", wrongByte, ring(0, [2], 1, {}, { consumer: (memory) => new HastyConsumer(memory) }))
  finds(
    "a writer that looks for a wish before it publishes",
    lostWakeUp,
    ring(1, [1, 1], 2, { producer: (memory) => new EarlyProducer(memory) })
  )
  const PublishesPlainly = writer(true, plainly)
  const plainStore = ring(1, [1, 1], 2, { producer: (memory) => new PublishesPlainly(memory) })
  finds("a writer that publishes with a plain store", /lost wake-up|came as/, plainStore)
  const plainLoad = ring(1, [1, 1], 2, {}, { consumer: (memory) => new PlainConsumer(memory) })
  finds("a reader that looks with a plain load", /lost wake-up|came as/, plainLoad, ["arm"])
})

describe("a ring that is broken on purpose does no harm where memory is stronger than it needs", () => {
  const PublishesPlainly = writer(true, plainly)
  const plainStore = ring(1, [1, 1], 2, { producer: (memory) => new PublishesPlainly(memory) })
  holds("a writer that publishes with a plain store", plainStore, ["sequential"])
  const plainLoad = ring(1, [1, 1], 2, {}, { consumer: (memory) => new PlainConsumer(memory) })
  holds("a reader that looks with a plain load", plainLoad, ["sequential", "x86"])
})
