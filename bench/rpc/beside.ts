/**
 * Small calls, one at a time, beside what else goes over the same connection: `alone COUNT`; `slow COUNT`, beside a stream whose consumer takes
 * nothing; and, for as long as so many MiB take, `down MIB`, from the server, and `up MIB`, to it. Each tells the median of the calls.
 */
import { VchanRpcClient } from "@vchan/rpc"
import { Effect, Fiber, Stream } from "effect"
import { answer, check, median, secondsSince } from "../answer.ts"
import { domain, inDomain } from "../inDomain.ts"
import { BenchWithUploads } from "./contract.ts"
import { checkSum } from "./loads.ts"
import { place } from "./vchan.ts"

const client = await inDomain(domain.client, VchanRpcClient.make(BenchWithUploads, place))

const chunk = 64 * 1024
const mebibyte = 2 ** 20
const chunksOf = (mebibytes: number) => mebibytes * mebibyte / chunk

/** Calls until `enough`, and gives the seconds and the median of the calls in seconds. */
const callUntil = Effect.fnUntraced(function*(enough: (calls: number) => boolean) {
  const times: Array<number> = []
  const start = performance.now()
  let last = start
  while (!enough(times.length)) {
    checkSum(times.length, yield* client.Add({ a: times.length, b: 1 }))
    const now = performance.now()
    times.push((now - last) / 1000)
    last = now
  }
  check(times.length > 0, "the number of calls")
  return [secondsSince(start), median(Float64Array.from(times))]
})

const transfer = (carry: Effect.Effect<number, unknown>, mebibytes: number) =>
  Effect.gen(function*() {
    const carrying = yield* Effect.forkChild(carry)
    const figures = yield* callUntil(() => carrying.pollUnsafe() !== undefined)
    check((yield* Fiber.join(carrying)) === mebibytes * mebibyte, "the bytes that came")
    return figures
  })

const lengthOf = <E>(data: Stream.Stream<Uint8Array, E>) => Stream.runFold(data, () => 0, (sum, bytes) => sum + bytes.length)

answer({
  alone: (count = 1) => Effect.runPromise(callUntil((calls) => calls >= count)),
  slow: (count = 1) =>
    Effect.runPromise(Effect.gen(function*() {
      const idle = yield* Effect.forkChild(Stream.runForEach(client.Bytes({ count: chunksOf(1024), length: chunk }), () => Effect.never))
      const figures = yield* callUntil((calls) => calls >= count)
      yield* Fiber.interrupt(idle)
      return figures
    })),
  down: (mebibytes = 1) => Effect.runPromise(transfer(lengthOf(client.Bytes({ count: chunksOf(mebibytes), length: chunk })), mebibytes)),
  up: (mebibytes = 1) => {
    const bytes = new Uint8Array(chunk)
    return Effect.runPromise(transfer(client.Take({ data: Stream.map(Stream.range(1, chunksOf(mebibytes)), () => bytes) }), mebibytes))
  }
})
