/**
 * A unix socket without any protocol, for clients that misbehave.
 */
import { Effect, type Scope } from "effect"
import * as net from "node:net"

/** A connected socket. */
export interface RawSocket {
  readonly socket: net.Socket
  readonly send: (bytes: string | Uint8Array) => Effect.Effect<void>
  /** The next line that comes, in bounded time. */
  readonly line: Effect.Effect<string>
  /** Waits, in bounded time, until the other side has closed. */
  readonly closed: Effect.Effect<void>
}

const bounded = <A>(what: string, effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.timeoutOrElse(effect, { duration: "60 seconds", orElse: () => Effect.die(new Error(`never came: ${what}`)) })

/** Connects. */
export const rawSocket = Effect.fnUntraced(function*(path: string): Effect.fn.Return<RawSocket, never, Scope.Scope> {
  const socket = yield* Effect.acquireRelease(
    Effect.callback<net.Socket>((resume) => {
      const socket = net.createConnection(path, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  let received = ""
  let wake = () => {}
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1")
    wake()
  })
  const line = Effect.callback<string>((resume) => {
    wake = () => {
      const end = received.indexOf("\n")
      if (end < 0) return
      wake = () => {}
      const line = received.slice(0, end)
      received = received.slice(end + 1)
      resume(Effect.succeed(line))
    }
    wake()
  })
  return {
    socket,
    send: (bytes) => Effect.sync(() => void socket.write(bytes)),
    line: bounded("a line", line),
    closed: bounded(
      "the end of the connection",
      Effect.callback<void>((resume) => {
        if (socket.closed) resume(Effect.void)
        else socket.once("close", () => resume(Effect.void))
      })
    )
  }
})
