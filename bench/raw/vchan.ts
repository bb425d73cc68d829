/**
 * A vchan by its callbacks, as programs below fibers use it. The address is `name:ring`.
 */
import { Handshake, type Vchan } from "@vchan/vchan"
import { Effect } from "effect"
import { domain, inDomain } from "../inDomain.ts"
import type { Line, Transport } from "./Line.ts"

/** The options of both sides. */
export const parse = (address: string) => {
  const [name = "", ring = "0"] = address.split(":")
  const path = `/local/domain/${domain.server}/data/vchan/${domain.client}/${name}`
  return {
    server: { domid: domain.client, path, leftMin: Number(ring), rightMin: Number(ring) },
    client: { domid: domain.server, path }
  }
}

const slab = new Uint8Array(256 * 1024)

const lineOf = (vchan: Vchan): Line => {
  let rest: Uint8Array = new Uint8Array(0)
  const flush = (bytes: Uint8Array): boolean => {
    const count = vchan.writeUnsafe(bytes, 0, bytes.length)
    if (count === bytes.length) return true
    rest = bytes.subarray(count)
    // What is echoed lies in the slab, which is read into meanwhile.
    if (rest.buffer === slab.buffer) rest = rest.slice()
    vchan.wantSpaceUnsafe()
    return false
  }
  const line: Line = {
    send: (bytes) => {
      if (rest.length === 0) return flush(bytes)
      rest = Buffer.concat([rest, bytes])
      return false
    },
    onRoom: () => {},
    onBytes: () => {}
  }
  vchan.listenUnsafe({
    readable: () => {
      const count = vchan.readUnsafe(slab, 0, slab.length)
      if (count > 0) line.onBytes(slab.subarray(0, count))
    },
    writable: () => {
      const waiting = rest
      rest = rest.subarray(rest.length)
      if (flush(waiting)) line.onRoom()
    },
    ended: () => {}
  })
  return line
}

export const vchan: Transport = {
  serve: (serve, address, ready) =>
    void inDomain(
      domain.server,
      Effect.gen(function*() {
        const server = yield* Handshake.server(parse(address).server)
        ready()
        serve(lineOf(yield* server.accept))
      })
    ),
  connect: (address) => inDomain(domain.client, Effect.map(Handshake.client(parse(address).client), lineOf))
}
