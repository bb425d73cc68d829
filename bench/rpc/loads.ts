/**
 * The loads of typed calls, whatever carries them. Every answer is checked.
 */
import { check, type Loads, median, secondsSince } from "../answer.ts"

/** A client of the service that gives promises. Items are 1 to `to`, and travel in such chunks. */
export interface Client extends Streams {
  readonly add: (a: number, b: number) => Promise<number>
  readonly same: (bytes: Uint8Array) => Promise<Uint8Array>
}

/** What all ways to call have in common. */
interface Streams {
  /** Takes items, and counts them. */
  readonly count: (to: number, chunk: number) => Promise<number>
  /** Sends items, and gives their sum, of 32 bits, as the server has it. Left out where there are no streams from clients. */
  readonly total?: (to: number, chunk: number) => Promise<number>
  /** Sends items, takes them as they come back, and gives the sum of these. */
  readonly echo?: (to: number, chunk: number) => Promise<number>
}

/** How a side makes many calls, so many at a time. Each `done` is told of a call whose answer was right. */
export interface Lanes extends Streams {
  readonly adds: (calls: number, inFlight: number, done: (call: number) => void) => Promise<void>
  readonly bodies: (bytes: Uint8Array, calls: number, inFlight: number) => Promise<void>
}

export const checkSum = (call: number, sum: number): void => check(sum === call + 1, "a sum")

export const checkBody = (sent: Uint8Array, came: Uint8Array): void =>
  check(came.length === sent.length && came[0] === sent[0] && came.at(-1) === sent.at(-1), "a body")

/** The sum, of 32 bits, of what was summed up before and some items. */
export const plus = (sum: number, items: ReadonlyArray<number>): number => {
  for (const item of items) sum = (sum + item) | 0
  return sum
}

/** The items from 1, chunk by chunk. */
export function* chunksOf(to: number, chunk: number): Generator<Array<number>, void> {
  for (let next = 1; next <= to; next += chunk) yield Array.from({ length: Math.min(chunk, to - next + 1) }, (_, at) => next + at)
}

const together = async (calls: number, inFlight: number, once: (call: number) => Promise<void>): Promise<void> => {
  const lane = async (first: number) => {
    for (let call = first; call < calls; call += inFlight) await once(call)
  }
  await Promise.all(Array.from({ length: Math.min(calls, inFlight) }, (_, first) => lane(first)))
}

/** Calls by promises. */
export const promised = ({ add, same, ...streams }: Client): Lanes => ({
  ...streams,
  adds: (calls, inFlight, done) =>
    together(calls, inFlight, async (call) => {
      checkSum(call, await add(call, 1))
      done(call)
    }),
  bodies: (bytes, calls, inFlight) => together(calls, inFlight, async () => checkBody(bytes, await same(bytes)))
})

const summed = (sum: Streams["total"]) => async (chunk = 1, count = 1) => {
  if (sum === undefined) throw new Error("there are no streams from the client")
  const start = performance.now()
  const right = Number(BigInt.asIntN(32, BigInt(count) * BigInt(count + 1) / 2n))
  check(await sum(count, chunk) === right, "a sum of items")
  return [secondsSince(start)]
}

/**
 * `add IN_FLIGHT COUNT`, which tells the median of a single lane too, `items CHUNK COUNT` from the server, `total CHUNK COUNT` to it,
 * `echo CHUNK COUNT` both ways, and `body BYTES COUNT`.
 */
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
  total: summed(lanes.total),
  echo: summed(lanes.echo),
  body: async (size = 0, calls = 1) => {
    const bytes = Uint8Array.from({ length: size }, (_, at) => at * 31 & 255)
    const start = performance.now()
    await lanes.bodies(bytes, calls, 16)
    return [secondsSince(start)]
  }
})
