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

const listen = (serve: (line: Line) => void) => net.createServer((socket) => serve(lineOf(socket)))

const connect = (options: net.NetConnectOpts): Promise<Line> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(options)
    socket.once("error", reject).once("connect", () => resolve(lineOf(socket)))
  })

export const socket: Transport = {
  serve: (serve, address, ready) => void listen(serve).listen(address, ready),
  connect: (address) => connect({ path: address })
}

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
