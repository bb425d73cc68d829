/**
 * The service in a worker thread, called with Comlink over its MessagePort. It has no streams: items are fetched chunk by chunk.
 */
import * as comlink from "comlink"
import { isMainThread, MessageChannel, MessagePort, Worker, workerData } from "node:worker_threads"
import { type Lanes, promised } from "./loads.ts"

const bench = {
  add: (a: number, b: number) => a + b,
  same: (bytes: Uint8Array) => bytes,
  items: (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at)
}

if (!isMainThread && workerData instanceof MessagePort) comlink.expose(bench, workerData)

export const comlinkLanes = (): Promise<Lanes> => {
  const { port1, port2 } = new MessageChannel()
  new Worker(new URL(import.meta.url), { workerData: port2, transferList: [port2] }).unref()
  const client = comlink.wrap<typeof bench>(port1)
  return Promise.resolve(promised({
    add: (a, b) => client.add(a, b),
    same: (bytes) => client.same(bytes),
    count: async (to, chunk) => {
      let seen = 0
      while (seen < to) seen += (await client.items(seen + 1, Math.min(chunk, to - seen))).length
      return seen
    }
  }))
}
