/**
 * Xen's vchan-socket-proxy (tools/vchan in Xen's sources) at one end, TypeScript at the other: unix sockets are carried over a vchan, one
 * client after the other.
 */
import { expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import * as net from "node:net"
import { until } from "../conformance/Backend.ts"
import { ends } from "../system/World.ts"
import { describeDebian } from "./debian.ts"
import { makeWorld } from "./world.ts"

const path = "/local/domain/5/data/proxy"

/** A unix socket that writes back what it reads. */
const echoSocket = (at: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.callback<net.Server>((resume) => {
      const server = net.createServer((socket) => socket.on("error", () => socket.destroy()).pipe(socket))
      server.listen(at, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ))

/** Connects, writes all of `bytes`, waits until as many have come back, and closes. */
const roundTrip = (at: string, bytes: Buffer): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const socket = net.createConnection(at, () => void socket.write(bytes))
    const received: Array<Buffer> = []
    const end = () => {
      socket.destroy()
      resume(Effect.succeed(Buffer.concat(received)))
    }
    socket.on("data", (chunk: Buffer) => {
      received.push(chunk)
      if (received.reduce((sum, { length }) => sum + length, 0) >= bytes.length) end()
    })
    socket.on("error", end).on("close", end)
    return Effect.sync(() => socket.destroy())
  })

describeDebian("Xen's vchan-socket-proxy", (debian) => {
  it.live("as a client carries one socket after the other to a TypeScript server", () =>
    Effect.gen(function*() {
      const { directory, one, two } = yield* makeWorld(debian)
      const socket = `${directory}/socket`
      const texts = ["first", "second", "third"].map((text) => Buffer.from(text.repeat(2000)))
      const total = texts.reduce((sum, { length }) => sum + length, 0)
      const server = yield* one.start(["peer-ts", "server", "7", path, "1024", "2048", "serve", String(total)])
      yield* server.said("up")
      yield* two.startC("vchan-socket-proxy", "--mode=client", "5", path, socket)
      yield* until("the proxy's socket", () => fs.existsSync(socket))
      for (const text of texts) expect((yield* roundTrip(socket, text)).equals(text)).toBe(true)
      yield* ends("the server", server)
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))

  it.live("as a server carries one TypeScript client after the other to a socket", () =>
    Effect.gen(function*() {
      const { directory, one, two } = yield* makeWorld(debian)
      const socket = `${directory}/socket`
      yield* echoSocket(socket)
      yield* one.startC("vchan-socket-proxy", "--mode=server", "7", path, socket)
      for (let turn = 0; turn < 3; turn++) {
        yield* Effect.scoped(
          Effect.flatMap(two.start(["peer-ts", "client", "5", path, "0", "0", "ping", "50"]), (client) => ends("the client", client))
        )
      }
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))
})
