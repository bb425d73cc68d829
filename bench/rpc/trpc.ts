/**
 * The service with tRPC over a WebSocket, through a unix socket.
 */
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client"
import { initTRPC } from "@trpc/server"
import { applyWSSHandler } from "@trpc/server/adapters/ws"
import * as http from "node:http"
import { WebSocket, WebSocketServer } from "ws"
import { chunksOf, type Lanes, promised } from "./loads.ts"

const { procedure, router } = initTRPC.create()

const numbers = (input: unknown): { readonly a: number; readonly b: number } => {
  if (typeof input === "object" && input !== null && "a" in input && "b" in input) {
    const { a, b } = input
    if (typeof a === "number" && typeof b === "number") return { a, b }
  }
  throw new Error("two numbers are needed")
}

const text = (input: unknown): string => {
  if (typeof input === "string") return input
  throw new Error("a text is needed")
}

const bench = router({
  add: procedure.input(numbers).query(({ input: { a, b } }) => a + b),
  /** JSON has no bytes. */
  same: procedure.input(text).query(({ input }) => input),
  count: procedure.input(numbers).subscription(async function*({ input: { a: to, b: chunk } }) {
    yield* chunksOf(to, chunk)
  })
})

export const serveTrpc = (path: string, ready: () => void): void => {
  const server = http.createServer()
  applyWSSHandler({ wss: new WebSocketServer({ server }), router: bench })
  server.listen(path, ready)
}

export const trpcLanes = (path: string): Promise<Lanes> => {
  // As tRPC's manual has it for Node, whose own knows no unix sockets.
  Object.assign(globalThis, { WebSocket })
  const socket = createWSClient({ url: `ws+unix:${path}:/` })
  const client = createTRPCClient<typeof bench>({ links: [wsLink({ client: socket })] })
  return Promise.resolve(promised({
    add: (a, b) => client.add.query({ a, b }),
    same: (bytes) => client.same.query(Buffer.from(bytes).toString("base64")).then((came) => Buffer.from(came, "base64")),
    count: (to, chunk) =>
      new Promise((resolve, reject) => {
        let seen = 0
        client.count.subscribe({ a: to, b: chunk }, {
          onData: (items) => {
            seen += items.length
          },
          onComplete: () => resolve(seen),
          onError: reject
        })
      })
  }))
}
