/**
 * The program of peer.c in TypeScript: the same arguments, the same words.
 *
 * Two works more: `listen` (a listener at PATH for the domids that follow, or any; it writes back what it reads, and prints
 * "came DOMID" and "left DOMID REASON") and `ask` (asks a listener for a connection, sends one message of 64 bytes through it, prints
 * "answered", and goes on with `hold` where that follows). And a role: a `stranger` is a client that soon gives up. A `pump` prints "complete" before it waits for its client to go.
 */
import { Handshake, Listener, type Server, type Vchan, type VchanError } from "@vchan/vchan"
import type { Xen } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { crc32 } from "node:zlib"

/** Tells a word. */
type Say = (line: string) => Effect.Effect<void>

const chunk = 1 << 16

/** Runs one end until its work is done. */
export const peer = (args: ReadonlyArray<string>, say: Say): Effect.Effect<void, VchanError, Xen> => {
  const [role, domid, path = "", left, right, work = "", ...rest] = args
  const numbers = rest.map(Number)
  const [first = 0] = numbers
  const timeout = role === "stranger" ? 2000 : 60_000
  const options = { domid: Number(domid), path, leftMin: Number(left), rightMin: Number(right), timeout }
  const connected = Effect.tap(Handshake.client(options), () => say("connected"))
  const server = Effect.tap(Handshake.server(options), () => say("up"))
  const accepted = Effect.flatMap(server, (server) => Effect.tap(server.accept, () => say("connected")))
  const run = Effect.gen(function*() {
    if (work === "listen") return yield* listen(path, rest, say)
    if (work === "ask") {
      const vchan = yield* Listener.connect(options)
      yield* Effect.andThen(exchange(vchan, 0), say("answered"))
      return yield* rest[0] === "hold" ? perform(vchan, "hold", [], say) : Effect.void
    }
    if (work === "serve") return yield* serve(yield* server, first)
    return yield* perform(yield* role === "server" ? accepted : connected, work, numbers, say)
  })
  return Effect.scoped(run)
}

const perform = (vchan: Vchan, work: string, [first = 0, second = 0, third = 0]: ReadonlyArray<number>, say: Say) => {
  switch (work) {
    case "pump":
      return pump(vchan, { send: first, receive: second, packet: third }, say)
    case "ping":
      return ping(vchan, first, say)
    case "flood":
      return flood(vchan, first, say)
    case "drain":
      return drain(vchan, first)
    case "hold":
      return Effect.flatMap(vchan.ended, ({ reason }) => say(`gone ${reason._tag}`))
    default:
      return Effect.die(new RangeError(`no such work: ${work}`))
  }
}

const isPeerGone = (error: VchanError): boolean => error.reason._tag === "PeerGone"

const untilPeerIsGone = (vchan: Vchan): Effect.Effect<void, VchanError> =>
  Effect.flatMap(vchan.ended, (error) => isPeerGone(error) ? Effect.void : Effect.fail(error))

const pump = Effect.fnUntraced(function*(
  vchan: Vchan,
  { packet, receive, send }: { readonly send: number; readonly receive: number; readonly packet: number },
  say: Say
) {
  const out = new Uint8Array(packet || chunk)
  const into = new Uint8Array(packet || chunk)
  let [sent, received, crcOut, crcIn] = [0, 0, 0, 0]
  const sending = Effect.gen(function*() {
    while (sent < send) {
      const bytes = out.subarray(0, Math.min(out.length, send - sent))
      fill(bytes)
      crcOut = crc32(bytes, crcOut)
      yield* packet > 0 ? vchan.send(bytes) : vchan.write(bytes)
      sent += bytes.length
    }
  })
  const receiving = Effect.gen(function*() {
    const more = () => receive < 0 || received < receive
    while (more()) {
      const room = into.subarray(0, receive < 0 ? into.length : Math.min(into.length, receive - received))
      const length = packet > 0 ? yield* Effect.as(vchan.receive(room), room.length) : yield* vchan.readInto(room)
      crcIn = crc32(room.subarray(0, length), crcIn)
      received += length
    }
  })
  const all = receive < 0 ? Effect.catchIf(receiving, isPeerGone, () => Effect.void) : receiving
  yield* Effect.all([sending, all], { concurrency: "unbounded" })
  yield* say("complete")
  if (vchan.role === "server" && receive > 0) yield* untilPeerIsGone(vchan)
  yield* say(`sent ${sent} ${hex(crcOut)}`)
  yield* say(`received ${received} ${hex(crcIn)}`)
})

const hex = (crc: number): string => crc.toString(16).padStart(8, "0")

let state = 0x92d68ca2

/** Bytes that tell their place: a lost, doubled or moved one changes the checksum. */
const fill = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state >>> 24
  }
}

const echo = Effect.fnUntraced(function*(vchan: Vchan, heard: (length: number) => Effect.Effect<void, VchanError>) {
  const buffer = new Uint8Array(chunk)
  while (true) {
    const length = yield* vchan.readInto(buffer)
    yield* vchan.write(buffer.subarray(0, length))
    yield* heard(length)
  }
})

const serve = Effect.fnUntraced(function*(server: Server, total: number) {
  let served = 0
  const one = Effect.flatMap(server.accept, (vchan) => echo(vchan, (length) => Effect.sync(() => void (served += length))))
  const next = Effect.catchIf(Effect.scoped(one), isPeerGone, () => Effect.void)
  yield* Effect.repeat(next, { while: () => served < total })
})

const listen = (path: string, clients: ReadonlyArray<string>, say: Say): Effect.Effect<void, VchanError, Xen | Scope.Scope> =>
  Effect.gen(function*() {
    const { ended } = yield* Listener.make({
      path,
      index: "data/rpc-for",
      clients: clients[0] === "any" ? "any" : clients.map(Number),
      handler: (vchan) =>
        Effect.gen(function*() {
          yield* say(`came ${vchan.peer}`)
          const { reason } = yield* Effect.flip(echo(vchan, () => Effect.void))
          yield* say(`left ${vchan.peer} ${reason._tag}`)
        })
    })
    yield* say("up")
    return yield* Effect.flip(Effect.flip(Effect.flatMap(ended, Effect.fail)))
  })

/** Sends 64 bytes and reads them back. */
const exchange = Effect.fnUntraced(function*(vchan: Vchan, round: number) {
  const out = new Uint8Array(64).fill(round)
  const into = new Uint8Array(64)
  yield* vchan.write(out)
  let length = 0
  while (length < into.length) length += yield* vchan.readInto(into.subarray(length))
  if (into.some((byte) => byte !== (round & 255))) return yield* Effect.die(new Error("the answer differs"))
})

const ping = Effect.fnUntraced(function*(vchan: Vchan, count: number, say: Say) {
  const times: Array<number> = []
  for (let round = 0; round < count; round++) {
    const start = performance.now()
    yield* exchange(vchan, round)
    times.push(performance.now() - start)
  }
  times.sort((left, right) => left - right)
  yield* say(`median ${((times[count >> 1] ?? 0) * 1000).toFixed(1)}`)
})

const flood = Effect.fnUntraced(function*(vchan: Vchan, total: number, say: Say) {
  const bytes = new Uint8Array(chunk)
  const start = performance.now()
  for (let left = total; left > 0; left -= chunk) yield* vchan.write(bytes.subarray(0, Math.min(chunk, left)))
  yield* vchan.readInto(bytes)
  yield* say(`rate ${(total / 1024 / ((performance.now() - start) / 1000)).toFixed(0)}`)
})

const drain = Effect.fnUntraced(function*(vchan: Vchan, total: number) {
  const buffer = new Uint8Array(chunk)
  for (let left = total; left > 0;) left -= yield* vchan.readInto(buffer)
  yield* vchan.write(buffer.subarray(0, 1))
  yield* untilPeerIsGone(vchan)
})
