/**
 * The service with grpc-js over a unix socket, its messages as proto-loader makes them.
 */
import * as grpc from "@grpc/grpc-js"
import { loadSync } from "@grpc/proto-loader"
import { fileURLToPath } from "node:url"
import { type Lanes, promised } from "./loads.ts"

const file = fileURLToPath(new URL("bench.proto", import.meta.url))
const options = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 }

const service = () => {
  const loaded = loadSync(file, { longs: Number })["bench.Bench"]
  if (loaded === undefined || "format" in loaded) throw new Error("bench.proto has no service Bench")
  return loaded
}

interface Terms {
  readonly a: number
  readonly b: number
}

interface Range {
  readonly to: number
  readonly chunk: number
}

interface Items {
  readonly values: ReadonlyArray<number>
}

interface Body {
  readonly bytes: Uint8Array
}

const server = {
  Add: ({ request: { a, b } }: { request: Terms }, reply: grpc.sendUnaryData<{ value: number }>) => reply(null, { value: a + b }),
  Same: ({ request: { bytes } }: { request: Body }, reply: grpc.sendUnaryData<Body>) => reply(null, { bytes }),
  Count: (call: grpc.ServerWritableStream<Range, Items>) => {
    const { chunk, to } = call.request
    let next = 1
    const pump = (): void => {
      while (next <= to) {
        const values = Array.from({ length: Math.min(chunk, to - next + 1) }, (_, at) => next + at)
        next += values.length
        if (!call.write({ values })) return void call.once("drain", pump)
      }
      call.end()
    }
    pump()
  }
}

export const serveGrpc = (path: string, ready: () => void): void => {
  const listener = new grpc.Server(options)
  listener.addService(service(), server)
  listener.bindAsync(`unix:${path}`, grpc.ServerCredentials.createInsecure(), ready)
}

export const grpcLanes = (path: string): Promise<Lanes> => {
  const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), options)
  const { Add, Count, Same } = service()
  if (Add === undefined || Count === undefined || Same === undefined) throw new Error("bench.proto lacks a method")
  const unary = <A extends object, B>(method: typeof Add) => (message: A) =>
    new Promise<B>((resolve, reject) => {
      client.makeUnaryRequest<A, B>(
        method.path,
        method.requestSerialize,
        // What comes has the type that bench.proto tells.
        (bytes) => method.responseDeserialize(bytes) as B,
        message,
        (error, value) => value === undefined ? reject(error ?? new Error("no value")) : resolve(value)
      )
    })
  const add = unary<Terms, { value?: number }>(Add)
  const same = unary<Body, { bytes?: Uint8Array }>(Same)
  return Promise.resolve(promised({
    add: (a, b) => add({ a, b }).then(({ value = 0 }) => value),
    same: (bytes) => same({ bytes }).then(({ bytes = new Uint8Array(0) }) => bytes),
    count: (to, chunk) =>
      new Promise((resolve, reject) => {
        let seen = 0
        client.makeServerStreamRequest<Range, Items>(
          Count.path,
          Count.requestSerialize,
          (bytes) => Count.responseDeserialize(bytes) as Items,
          { to, chunk }
        ).on("data", ({ values }: Items) => {
          seen += values.length
        }).on("end", () => resolve(seen)).on("error", reject)
      })
  }))
}
