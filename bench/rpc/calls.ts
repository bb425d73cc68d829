/**
 * The service's handlers in Effect, and the loads by its clients in Effect.
 */
import { Effect, Stream } from "effect"
import { Bench, BenchWithUploads } from "./contract.ts"
import { checkBody, checkSum, type Lanes, plus } from "./loads.ts"

export const calls = {
  Add: ({ a, b }: { readonly a: number; readonly b: number }) => Effect.succeed(a + b),
  Count: ({ chunk, to }: { readonly chunk: number; readonly to: number }) => Stream.range(1, to, chunk),
  Same: ({ bytes }: { readonly bytes: Uint8Array }) => Effect.succeed(bytes)
}

export const handlers = Bench.toLayer(calls)

const sumOf = <E>(items: Stream.Stream<number, E>) => Stream.runFold(Stream.chunks(items), () => 0, plus)

export const handlersWithUploads = BenchWithUploads.toLayer({
  ...calls,
  Total: sumOf,
  Echo: (items) => items,
  Bytes: ({ count, length }) => {
    const bytes = new Uint8Array(length)
    return Stream.map(Stream.range(1, count), () => bytes)
  },
  Take: ({ data }) => Stream.runFold(data, () => 0, (sum, bytes) => sum + bytes.length)
})

/** Some of the service's calls, as Effect's clients have them. */
interface Calls {
  readonly Add: (terms: { readonly a: number; readonly b: number }) => Effect.Effect<number, unknown>
  readonly Count: (range: { readonly to: number; readonly chunk: number }) => Stream.Stream<number, unknown>
  readonly Same: (body: { readonly bytes: Uint8Array }) => Effect.Effect<Uint8Array, unknown>
}

interface Uploads {
  readonly Total: (items: Stream.Stream<number>) => Effect.Effect<number, unknown>
  readonly Echo: (items: Stream.Stream<number>) => Stream.Stream<number, unknown>
}

const together = <E>(calls: number, inFlight: number, once: (call: number) => Effect.Effect<void, E>): Promise<void> => {
  const lane = (first: number) => {
    let call = first - inFlight
    return Effect.whileLoop({ while: () => (call += inFlight) < calls, body: () => once(call), step: () => {} })
  }
  const lanes = Array.from({ length: Math.min(calls, inFlight) }, (_, first) => first)
  return Effect.runPromise(Effect.forEach(lanes, lane, { concurrency: "unbounded", discard: true }))
}

/** The loads, each call by the client that it is for. */
export const lanesBy = (clientOf: (call: number) => Calls): Lanes => ({
  adds: (calls, inFlight, done) =>
    together(calls, inFlight, (call) =>
      Effect.map(clientOf(call).Add({ a: call, b: 1 }), (sum) => {
        checkSum(call, sum)
        done(call)
      })),
  count: (to, chunk) => Effect.runPromise(Stream.runCount(clientOf(0).Count({ to, chunk }))),
  bodies: (bytes, calls, inFlight) =>
    together(calls, inFlight, (call) => Effect.map(clientOf(call).Same({ bytes }), (came) => checkBody(bytes, came)))
})

/** The loads, with streams from the client among them. */
export const lanesWithUploads = (client: Calls & Uploads): Lanes => {
  const items = (to: number, chunk: number) => Stream.range(1, to, chunk)
  return {
    ...lanesBy(() => client),
    total: (to, chunk) => Effect.runPromise(client.Total(items(to, chunk))),
    echo: (to, chunk) => Effect.runPromise(sumOf(client.Echo(items(to, chunk))))
  }
}
