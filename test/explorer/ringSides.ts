/**
 * The two ends of one ring, each waiting as the protocol says: try; else ask to be rung, look again, and sleep.
 *
 * Bytes tell their place in the stream, so one that is lost, doubled or old is seen where it is read.
 */
import { Consumer, Producer, type RingMemory } from "../../packages/vchan/src/Ring.ts"
import { SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import type { Environment, Program } from "./access.ts"
import type { World } from "./world.ts"

/** The byte at a place of the stream; never 0, which fresh memory holds. */
const byteAt = (place: number): number => 1 + place % 250

export const bytesFrom = (place: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => byteAt(place + at))

/** Throws where `bytes` are not those that begin at a place of the stream. */
export const checkBytes = (bytes: Uint8Array, place: number, count: number): void => {
  for (let at = 0; at < count; at++) {
    if (bytes[at] !== byteAt(place + at)) throw new Error(`byte ${place + at} of the stream came as ${bytes[at]}`)
  }
}

/** Both ends of the left ring. */
export interface Ends {
  readonly producer: (memory: RingMemory) => Producer
  readonly consumer: (memory: RingMemory) => Consumer
  /** What happens between asking to be rung and sleeping: whether there is something to do after all. */
  readonly spaceAgain: (producer: Producer) => boolean
  readonly bytesAgain: (consumer: Consumer) => boolean
}

export const honest: Ends = {
  producer: (memory) => new Producer(memory),
  consumer: (memory) => new Consumer(memory),
  spaceAgain: (producer) => producer.space() > 0,
  bytesAgain: (consumer) => consumer.available() > 0
}

const order = Math.log2

/** Writes messages of the given lengths. */
export const writing =
  ({ left, page }: World, lengths: ReadonlyArray<number>, ends: Ends = honest): Program => (environment: Environment) => {
    const producer = ends.producer(new SharedPage(page).ring("client", "write", order(left.byteLength), left))
    let place = 0
    for (const length of lengths) {
      const end = place + length
      while (place < end) {
        environment.mark(`${place} ${end} ${producer.position} ${producer.corrupt}`)
        const count = producer.write(bytesFrom(place, end - place), 0, end - place)
        place += count
        if (count > 0) {
          if (producer.takeNotify()) environment.notify()
          continue
        }
        if (producer.corrupt !== undefined) throw new Error(`the ring is corrupt: ${producer.corrupt}`)
        producer.request()
        if (!ends.spaceAgain(producer)) environment.wait({ done: false })
      }
    }
    return place
  }

/** Reads so many bytes, at most `most` at once. */
export const reading = ({ left, page }: World, total: number, most: number, ends: Ends = honest): Program => (environment: Environment) => {
  const consumer = ends.consumer(new SharedPage(page).ring("server", "read", order(left.byteLength), left))
  const bytes = new Uint8Array(most)
  let place = 0
  while (place < total) {
    environment.mark(`${place} ${consumer.position} ${consumer.corrupt}`)
    const count = consumer.read(bytes, 0, most)
    checkBytes(bytes, place, count)
    place += count
    if (count > 0) {
      if (consumer.takeNotify()) environment.notify()
      continue
    }
    if (consumer.corrupt !== undefined) throw new Error(`the ring is corrupt: ${consumer.corrupt}`)
    consumer.request()
    if (!ends.bytesAgain(consumer)) environment.wait({ done: false })
  }
  return place
}
