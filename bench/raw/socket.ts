/**
 * Node's own sockets. The address is a unix socket's path or, for TCP on this machine, the path of a file that tells the port.
 */
import * as fs from "node:fs"
import * as net from "node:net"
import type { Line, Transport } from "./Line.ts"

const lineOf = (socket: net.Socket): Line => {
  socket.setNoDelay()
  const line: Line = { send: (bytes) => socket.write(bytes), onRoom: () => {}, onBytes: () => {} }
  socket.on("data", (bytes: Buffer) => line.onBytes(bytes))
  socket.on("drain", () => line.onRoom())
  return line
}

/** What is written in one turn goes to the kernel in one call, as programs do that have many small messages at once. */
const corkedLineOf = (socket: net.Socket): Line => {
  const line = lineOf(socket)
  const { send } = line
  let isCorked = false
  const uncork = () => {
    isCorked = false
    socket.uncork()
  }
  return Object.assign(line, {
    send: (bytes: Uint8Array) => {
      if (!isCorked) {
        isCorked = true
        socket.cork()
        process.nextTick(uncork)
      }
      return send(bytes)
    }
  })
}

const listen = (serve: (line: Line) => void, make = lineOf) => net.createServer((socket) => serve(make(socket)))

const connect = (options: net.NetConnectOpts, make = lineOf): Promise<Line> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(options)
    socket.once("error", reject).once("connect", () => resolve(make(socket)))
  })

const unix = (make: typeof lineOf): Transport => ({
  serve: (serve, address, ready) => void listen(serve, make).listen(address, ready),
  connect: (address) => connect({ path: address }, make)
})

export const socket = unix(lineOf)

export const corked = unix(corkedLineOf)

export const tcp: Transport = {
  serve: (serve, address, ready) => {
    const server = listen(serve).listen(0, "127.0.0.1", () => {
      const bound = server.address()
      if (bound !== null && typeof bound === "object") fs.writeFileSync(address, String(bound.port))
      ready()
    })
  },
  connect: (address) => connect({ host: "127.0.0.1", port: Number(fs.readFileSync(address, "utf8")) })
}
