/**
 * The raw loads over a vchan by its Effects, as programs use it: `readInto`, and `write` for each message or `sink` for chunks of them.
 * Headers and answers are as in loads.ts.
 */
import { Handshake, type Vchan, type VchanError } from "@vchan/vchan"
import { Array as Arr, Cause, Effect, Stream } from "effect"
import { crc32 } from "node:zlib"
import { check, type Loads, median } from "../answer.ts"
import { domain, inDomain } from "../inDomain.ts"
import { header, loadsBy, mode, pattern, words } from "./loads.ts"
import { parse } from "./vchan.ts"

/** Each reads into the same: this process has one connection. */
const buffer = new Uint8Array(256 * 1024)

/** Reads `total` bytes, each piece handed to `use`. */
const readAll = (vchan: Vchan, total: number, use: (bytes: Uint8Array) => Effect.Effect<void, VchanError>) => {
  let left = total
  return Effect.whileLoop({
    while: () => left > 0,
    body: () =>
      Effect.flatMap(vchan.readInto(left < buffer.length ? buffer.subarray(0, left) : buffer), (count) => {
        left -= count
        return use(buffer.subarray(0, count))
      }),
    step: () => {}
  })
}

/** How a side writes messages. */
type Way = (vchan: Vchan, message: Uint8Array, total: number) => Effect.Effect<void, VchanError>

const writeAll: Way = (vchan, message, total) => {
  let left = total
  return Effect.whileLoop({
    while: () => left > 0,
    body: () => {
      left -= message.length
      return vchan.write(message)
    },
    step: () => {}
  })
}

/** What is in a chunk of small messages. */
const chunkLength = 64 * 1024

/** Sends chunks of messages, as a stream has them that does many at a time. */
const runSink: Way = (vchan, message, total) => {
  const chunk = Arr.makeBy(Math.max(1, chunkLength / message.length), () => message)
  let left = total / message.length
  const pull = Effect.suspend(() => {
    const count = Math.min(left, chunk.length)
    left -= count
    if (count === chunk.length) return Effect.succeed(chunk)
    const rest = chunk.slice(0, count)
    return Arr.isArrayNonEmpty(rest) ? Effect.succeed(rest) : Cause.done()
  })
  return Stream.run(Stream.fromPull(Effect.succeed(pull)), vchan.sink)
}

const ways = { fibers: writeAll, sink: runSink } satisfies Record<string, Way>

const count = () => Effect.void

/** Hands the checksum of all pieces out at the end. */
const summed = () => {
  let crc = 0
  const use = (bytes: Uint8Array) => {
    crc = crc32(bytes, crc)
    return Effect.void
  }
  return { use, crc: () => crc }
}

const serveOne = Effect.fnUntraced(function*(vchan: Vchan, write: Way) {
  const head = Buffer.alloc(16)
  for (;;) {
    yield* vchan.receive(head)
    const [kind, size, total] = [head.readUInt32LE(0), head.readUInt32LE(4), Number(head.readBigUInt64LE(8))]
    const sum = summed()
    const use = (kind & mode.checked) !== 0 ? sum.use : count
    if ((kind & 255) === mode.echo) {
      yield* readAll(vchan, total, (bytes) => Effect.andThen(use(bytes), vchan.write(bytes)))
    } else {
      const sending = (kind & 255) === mode.both ? total : 0
      yield* Effect.all([write(vchan, pattern.subarray(0, size), sending), readAll(vchan, total, use)], {
        concurrency: "unbounded",
        discard: true
      })
    }
    yield* vchan.write(words(total % 2 ** 32, sum.crc()))
  }
})

const runOne = Effect.fnUntraced(function*(vchan: Vchan, write: Way, kind: number, size: number, rounds: number) {
  const message = pattern.subarray(0, size)
  const total = size * rounds
  const times = new Float64Array((kind & 255) === mode.echo ? rounds : 0)
  const sum = summed()
  const use = (kind & mode.checked) !== 0 ? sum.use : count
  const start = performance.now()
  yield* vchan.write(header(kind, size, total))
  if (times.length > 0) {
    let last = start
    for (let round = 0; round < rounds; round++) {
      const back = readAll(vchan, size, use)
      // What is longer than the ring comes back before all of it has gone.
      if (size < vchan.writeRing) yield* Effect.andThen(vchan.write(message), back)
      else yield* Effect.all([vchan.write(message), back], { concurrency: "unbounded", discard: true })
      const now = performance.now()
      times[round] = now - last
      last = now
    }
  } else {
    const back = (kind & 255) === mode.both ? total : 0
    yield* Effect.all([write(vchan, message, total), readAll(vchan, back, use)], { concurrency: "unbounded", discard: true })
  }
  const answer = Buffer.alloc(8)
  yield* vchan.receive(answer)
  const seconds = (performance.now() - start) / 1000
  let own = 0
  if ((kind & mode.checked) !== 0) { for (let n = 0; n < rounds; n++) own = crc32(message, own) }
  check(answer.readUInt32LE(0) === total % 2 ** 32 && answer.readUInt32LE(4) === own, "what the server took")
  check((kind & 255) === mode.sink || sum.crc() === own, "what came back")
  return times.length > 0 ? [seconds, median(times) * 1000] : [seconds]
})

/** Serves the client that comes. */
export const serveFibers = (way: keyof typeof ways, address: string, ready: () => void): void => {
  void inDomain(
    domain.server,
    Effect.gen(function*() {
      const server = yield* Handshake.server(parse(address).server)
      ready()
      yield* serveOne(yield* server.accept, ways[way])
    })
  )
}

/** The loads over a connection to a server of this kind. */
export const fiberLoads = async (way: keyof typeof ways, address: string): Promise<Loads> => {
  const vchan = await inDomain(domain.client, Handshake.client(parse(address).client))
  return loadsBy((kind, size, rounds) => Effect.runPromise(runOne(vchan, ways[way], kind, size, rounds)))
}
