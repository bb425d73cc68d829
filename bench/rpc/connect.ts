/**
 * The service with Connect's own protocol over HTTP/2 through a unix socket. Its descriptor is made from bench.proto when the program starts,
 * as generated code has it.
 */
import type { Message } from "@bufbuild/protobuf"
import { fileDesc, type GenMessage, messageDesc, serviceDesc } from "@bufbuild/protobuf/codegenv2"
import { createClient } from "@connectrpc/connect"
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node"
import * as http2 from "node:http2"
import * as net from "node:net"
import { chunksOf, type Lanes, plus, promised } from "./loads.ts"
import { descriptor } from "./proto.ts"

const file = fileDesc(descriptor())

type Terms = Message<"bench.Terms"> & { a: number; b: number }
type Sum = Message<"bench.Sum"> & { value: number }
type Range = Message<"bench.Range"> & { to: number; chunk: number }
type Items = Message<"bench.Items"> & { values: Array<number> }
type Body = Message<"bench.Body"> & { bytes: Uint8Array }

/** The messages stand in the file in this order. */
const [Terms, Sum, Range, Items, Body] = [
  messageDesc<Terms>(file, 0),
  messageDesc<Sum>(file, 1),
  messageDesc<Range>(file, 2),
  messageDesc<Items>(file, 3),
  messageDesc<Body>(file, 4)
]

interface Method<Kind, Input extends Message, Output extends Message> {
  methodKind: Kind
  input: GenMessage<Input>
  output: GenMessage<Output>
}

const Bench = serviceDesc<{
  add: Method<"unary", Terms, Sum>
  count: Method<"server_streaming", Range, Items>
  same: Method<"unary", Body, Body>
  total: Method<"client_streaming", Items, Sum>
  echo: Method<"bidi_streaming", Items, Items>
}>(file, 0)

/** As grpc-js has it: calls in flight are not to be refused for the memory that they take. */
const maxSessionMemory = Number.MAX_SAFE_INTEGER

export const serveConnect = (path: string, ready: () => void): void => {
  const handle = connectNodeAdapter({
    routes: ({ service }) =>
      service(Bench, {
        add: ({ a, b }) => ({ value: a + b }),
        same: ({ bytes }) => ({ bytes }),
        count: async function*({ chunk, to }) {
          for (const values of chunksOf(to, chunk)) yield { values }
        },
        total: async (messages) => {
          let value = 0
          for await (const { values } of messages) value = plus(value, values)
          return { value }
        },
        echo: async function*(messages) {
          for await (const { values } of messages) yield { values }
        }
      })
  })
  http2.createServer({ maxSessionMemory }, handle).listen(path, ready)
}

export const connectLanes = (path: string): Promise<Lanes> => {
  const transport = createConnectTransport({
    httpVersion: "2",
    baseUrl: "http://localhost",
    // Nothing is won by compressing what stays on one machine.
    acceptCompression: [],
    nodeOptions: { createConnection: () => net.connect(path), maxSessionMemory }
  })
  const client = createClient(Bench, transport)
  const items = async function*(to: number, chunk: number) {
    for (const values of chunksOf(to, chunk)) yield { values }
  }
  return Promise.resolve(promised({
    add: (a, b) => client.add({ a, b }).then(({ value }) => value),
    same: (bytes) => client.same({ bytes }).then(({ bytes }) => bytes),
    count: async (to, chunk) => {
      let seen = 0
      for await (const { values } of client.count({ to, chunk })) seen += values.length
      return seen
    },
    total: (to, chunk) => client.total(items(to, chunk)).then(({ value }) => value),
    echo: async (to, chunk) => {
      let sum = 0
      for await (const { values } of client.echo(items(to, chunk))) sum = plus(sum, values)
      return sum
    }
  }))
}
