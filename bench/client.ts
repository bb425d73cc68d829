/**
 * A process that calls both of the server's transports in turn and prints each measurement's median and their ratio. Every answer is checked.
 */
import { NodeRuntime, NodeSocket } from "@effect/platform-node"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer, Stream } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Bench } from "./contract.ts"

/** One transport's calls. */
interface Side {
  readonly add: (a: number, b: number) => Effect.Effect<number, unknown>
  readonly count: (to: number) => Stream.Stream<number, unknown>
  readonly same: (bytes: Uint8Array) => Effect.Effect<Uint8Array, unknown>
}

const rounds = 5

const check = (right: boolean): Effect.Effect<void> => right ? Effect.void : Effect.die(new Error("a wrong answer came"))

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const millis = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

/** `calls` small calls, `inFlight` at a time. */
const adds = (side: Side, calls: number, inFlight: number) =>
  Effect.forEach(
    Array.from({ length: inFlight }, (_, lane) => lane),
    (lane) =>
      Effect.gen(function*() {
        for (let call = lane; call < calls; call += inFlight) yield* check((yield* side.add(call, 1)) === call + 1)
      }),
    { concurrency: "unbounded", discard: true }
  )

const items = (side: Side, count: number) => Effect.flatMap(Stream.runCount(side.count(count)), (seen) => check(seen === count))

const bodies = (side: Side, calls: number, bytes: Uint8Array) =>
  Effect.forEach(
    Array.from({ length: calls }),
    () => Effect.flatMap(side.same(bytes), (same) => check(same.length === bytes.length && same.at(-1) === bytes.at(-1))),
    { concurrency: 16, discard: true }
  )

/** What is measured, each with how many operations a run of it makes on each side. */
const loads = [
  { name: "small call, 1 in flight", count: [4000, 1000], run: (side: Side, count: number) => adds(side, count, 1) },
  { name: "small calls, 16 in flight", count: [20_000, 4000], run: (side: Side, count: number) => adds(side, count, 16) },
  { name: "small calls, 256 in flight", count: [40_000, 4000], run: (side: Side, count: number) => adds(side, count, 256) },
  { name: "stream of single items", count: [100_000, 2000], run: items },
  { name: "64 KiB there and back, 16 in flight", count: [800, 160], run: (side: Side, count: number) => bodies(side, count, body) }
] as const

const body = new Uint8Array(64 * 1024).fill(7)

const program = Effect.gen(function*() {
  const ours = yield* VchanRpcClient.make(Bench, { domain: 1, service: "bench" })
  const protocol = yield* RpcClient.layerProtocolSocket().pipe(
    Layer.provide(NodeSocket.layerNet({ path: process.argv[2] ?? "" })),
    Layer.provide(RpcSerialization.layerNdjson),
    Layer.build
  )
  const stock = yield* Effect.provideContext(RpcClient.make(Bench, { disableTracing: true }), protocol)
  const sides: readonly [Side, Side] = [
    { add: (a, b) => ours.Add({ a, b }), count: (to) => ours.Count({ to }), same: (bytes) => ours.Same({ bytes }) },
    { add: (a, b) => stock.Add({ a, b }), count: (to) => stock.Count({ to }), same: (bytes) => stock.Same({ bytes }) }
  ]
  const row = (...[name, ...cells]: ReadonlyArray<string>) => [name?.padEnd(36), ...cells.map((cell) => cell.padStart(16))].join("")
  yield* Console.log(row("operations a second, median", "vchan-rpc", "effect/rpc", "ratio"))
  for (const { count, name, run } of loads) {
    for (const at of [0, 1] as const) yield* run(sides[at], count[at])
    const rates: readonly [Array<number>, Array<number>] = [[], []]
    for (let round = 0; round < rounds; round++) {
      for (const at of [0, 1] as const) rates[at].push(count[at] / (yield* millis(run(sides[at], count[at]))) * 1000)
    }
    const [mine, theirs] = [median(rates[0]), median(rates[1])]
    yield* Console.log(row(name, mine.toFixed(0), theirs.toFixed(0), (mine / theirs).toFixed(1)))
  }
})

program.pipe(Effect.scoped, Effect.provide(Xen.layer), NodeRuntime.runMain)
