/**
 * The loads of typed calls, whatever carries them. Every answer is checked.
 */
import { check, type Loads, median } from "../answer.ts"

/** A client of the service that gives promises. */
export interface Client {
  readonly add: (a: number, b: number) => Promise<number>
  /** Takes that many items, which come in such chunks, and counts them. */
  readonly count: (to: number, chunk: number) => Promise<number>
  readonly same: (bytes: Uint8Array) => Promise<Uint8Array>
}

/** How a side makes many calls, so many at a time. Each `done` is told of a call whose answer was right. */
export interface Lanes {
  readonly adds: (calls: number, inFlight: number, done: (call: number) => void) => Promise<void>
  readonly count: (to: number, chunk: number) => Promise<number>
  readonly bodies: (bytes: Uint8Array, calls: number, inFlight: number) => Promise<void>
}

export const checkSum = (call: number, sum: number): void => check(sum === call + 1, "a sum")

export const checkBody = (sent: Uint8Array, came: Uint8Array): void =>
  check(came.length === sent.length && came[0] === sent[0] && came.at(-1) === sent.at(-1), "a body")

const together = async (calls: number, inFlight: number, once: (call: number) => Promise<void>): Promise<void> => {
  const lane = async (first: number) => {
    for (let call = first; call < calls; call += inFlight) await once(call)
  }
  await Promise.all(Array.from({ length: Math.min(calls, inFlight) }, (_, first) => lane(first)))
}

/** Calls by promises. */
export const promised = ({ add, count, same }: Client): Lanes => ({
  adds: (calls, inFlight, done) =>
    together(calls, inFlight, async (call) => {
      checkSum(call, await add(call, 1))
      done(call)
    }),
  count,
  bodies: (bytes, calls, inFlight) => together(calls, inFlight, async () => checkBody(bytes, await same(bytes)))
})

const secondsSince = (start: number): number => (performance.now() - start) / 1000

/** `add IN_FLIGHT COUNT`, which tells the median of a single lane too, `items CHUNK COUNT`, and `body BYTES COUNT`. */
export const loadsOf = (lanes: Lanes): Loads => ({
  add: async (inFlight = 1, calls = 1) => {
    const times = new Float64Array(inFlight === 1 ? calls : 0)
    const start = performance.now()
    let last = start
    await lanes.adds(calls, inFlight, (call) => {
      if (times.length === 0) return
      const now = performance.now()
      times[call] = now - last
      last = now
    })
    return times.length === 0 ? [secondsSince(start)] : [secondsSince(start), median(times) * 1000]
  },
  items: async (chunk = 1, count = 1) => {
    const start = performance.now()
    check(await lanes.count(count, chunk) === count, "a stream's length")
    return [secondsSince(start)]
  },
  body: async (size = 0, calls = 1) => {
    const bytes = Uint8Array.from({ length: size }, (_, at) => at * 31 & 255)
    const start = performance.now()
    await lanes.bodies(bytes, calls, 16)
    return [secondsSince(start)]
  }
})
