/**
 * The service with grpc-js over a unix socket, its messages as proto-loader makes them.
 */
import * as grpc from "@grpc/grpc-js"
import { chunksOf, type Lanes, plus, promised } from "./loads.ts"
import { service } from "./proto.ts"

const options = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 }

interface Terms {
  readonly a: number
  readonly b: number
}

interface Sum {
  readonly value: number
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

/** Writes items as the call has room. */
const pump = (
  call: { write: (items: Items) => boolean; once: (event: "drain", go: () => void) => void; end: () => void },
  to: number,
  chunk: number
): void => {
  const chunks = chunksOf(to, chunk)
  const go = (): void => {
    for (let { done, value } = chunks.next(); done !== true; { done, value } = chunks.next()) {
      if (!call.write({ values: value ?? [] })) return void call.once("drain", go)
    }
    call.end()
  }
  go()
}

const server = {
  Add: ({ request: { a, b } }: { request: Terms }, reply: grpc.sendUnaryData<Sum>) => reply(null, { value: a + b }),
  Same: ({ request: { bytes } }: { request: Body }, reply: grpc.sendUnaryData<Body>) => reply(null, { bytes }),
  Count: (call: grpc.ServerWritableStream<Range, Items>) => pump(call, call.request.to, call.request.chunk),
  Total: (call: grpc.ServerReadableStream<Items, Sum>, reply: grpc.sendUnaryData<Sum>) => {
    let value = 0
    call.on("data", ({ values }: Items) => {
      value = plus(value, values)
    }).on("end", () => reply(null, { value }))
  },
  Echo: (call: grpc.ServerDuplexStream<Items, Items>) =>
    void call.on("data", (items: Items) => {
      if (call.write(items)) return
      call.pause()
      call.once("drain", () => call.resume())
    }).on("end", () => call.end())
}

export const serveGrpc = (path: string, ready: () => void): void => {
  const listener = new grpc.Server(options)
  listener.addService(service(), server)
  listener.bindAsync(`unix:${path}`, grpc.ServerCredentials.createInsecure(), ready)
}

/** How a method is called: its path, and what puts its messages into bytes. What comes has the type that bench.proto tells. */
const ways = <A extends object, B>({ path, requestSerialize, responseDeserialize }: ReturnType<typeof service>["Add"]) =>
  [path, (message: A) => requestSerialize(message), (bytes: Buffer) => responseDeserialize(bytes) as B] as const

export const grpcLanes = (path: string): Promise<Lanes> => {
  const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), options)
  const methods = service()
  const [add, same] = [ways<Terms, Partial<Sum>>(methods.Add), ways<Body, Partial<Body>>(methods.Same)]
  const count = ways<Range, Items>(methods.Count)
  const [total, echo] = [ways<Items, Partial<Sum>>(methods.Total), ways<Items, Items>(methods.Echo)]
  const unary = <A extends object, B>(way: ReturnType<typeof ways<A, B>>, message: A) =>
    new Promise<B>((resolve, reject) => {
      client.makeUnaryRequest<A, B>(...way, message, (error, value) => {
        if (value === undefined) reject(error ?? new Error("no value"))
        else resolve(value)
      })
    })
  return Promise.resolve(promised({
    add: (a, b) => unary(add, { a, b }).then(({ value = 0 }) => value),
    same: (bytes) => unary(same, { bytes }).then(({ bytes = new Uint8Array(0) }) => bytes),
    count: (to, chunk) =>
      new Promise((resolve, reject) => {
        let seen = 0
        client.makeServerStreamRequest<Range, Items>(...count, { to, chunk }).on("data", ({ values }: Items) => {
          seen += values.length
        }).on("end", () => resolve(seen)).on("error", reject)
      }),
    total: (to, chunk) =>
      new Promise((resolve, reject) => {
        const call = client.makeClientStreamRequest<Items, Partial<Sum>>(...total, (error, sum) => {
          if (sum === undefined) reject(error ?? new Error("no sum"))
          else resolve(sum.value ?? 0)
        })
        pump(call, to, chunk)
      }),
    echo: (to, chunk) =>
      new Promise((resolve, reject) => {
        let sum = 0
        const call = client.makeBidiStreamRequest<Items, Items>(...echo)
        call.on("data", ({ values }: Items) => {
          sum = plus(sum, values)
        }).on("end", () => resolve(sum)).on("error", reject)
        pump(call, to, chunk)
      })
  }))
}
