/**
 * The kernel's way to XenStore, /dev/xen/xenbus, as a socket.
 *
 * Each write is one whole packet, and a packet has at most 4096 bytes with its header. The kernel keeps a packet in the file's one buffer
 * until its own thread has passed it on, some time after the write: so the next is written when the reply is there, or it would overwrite
 * the former (xenbus_dev_request_and_reply in the kernel's sources, from 4.11 on).
 *
 * Replies are read when Node's loop polls that there are some, so nothing blocks, and nothing keeps the process from ending. Only to set a
 * watch does the kernel ask the store while the write waits, and where the store refuses, the write fails and no reply comes: here, one is
 * put in its place.
 *
 * The socket belongs to the Scope it was made in; the device is its opener's, and is to be open for longer.
 */
import { XenStoreWire } from "@vchan/xen"
import { Cause, Effect, Queue, type Scope } from "effect"
import { Socket } from "effect/socket"
import * as libc from "./libc.ts"

/** The most bytes that a packet's payload may have on this way. */
export const maxPayload = 4096 - XenStoreWire.headerSize

const closed = (): Socket.SocketError => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })

/** The reply to a packet that the kernel did not take. */
const refusal = (packet: Uint8Array, code: string): Uint8Array => {
  const view = new DataView(packet.buffer, packet.byteOffset)
  return XenStoreWire.encode({
    type: XenStoreWire.Operation.ERROR,
    requestId: view.getUint32(4, true),
    transactionId: view.getUint32(8, true),
    payload: XenStoreWire.encodeStrings([code])
  })
}

/** The device behind this file, which must not block. */
export const deviceSocket = Effect.fnUntraced(function*(fd: number): Effect.fn.Return<Socket.Socket, never, Scope.Scope> {
  const replies = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
  const buffer = new Uint8Array(XenStoreWire.headerSize + XenStoreWire.maxPayload)

  const decoder = new XenStoreWire.Decoder()
  const unsent: Array<Uint8Array> = []
  let awaitsReply = false

  const send = (): void => {
    while (!awaitsReply) {
      const packet = unsent.shift()
      if (packet === undefined) return
      awaitsReply = libc.write(fd, packet, packet.length) >= 0
      if (!awaitsReply) Queue.offerUnsafe(replies, refusal(packet, libc.errnoName()))
    }
  }

  const receive = (): void => {
    const length = libc.read(fd, buffer, buffer.length)
    if (length > 0) {
      const bytes = buffer.slice(0, length)
      Queue.offerUnsafe(replies, bytes)
      if (decoder.feed(bytes).packets.some(({ type }) => type !== XenStoreWire.Operation.WATCH_EVENT)) awaitsReply = false
      send()
    } else if (length === 0 || libc.errnoName() !== "EAGAIN") end()
    // Without it, what waits for the reply would run with the loop's next timer.
    setImmediate(() => {})
  }
  const poll = yield* Effect.acquireRelease(Effect.sync(() => libc.pollReadable(fd, receive)), () => Effect.sync(() => end()))
  const end = (): void => {
    poll.close()
    Queue.failCauseUnsafe(replies, Cause.fail(closed()))
  }

  const write = (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void> =>
    Effect.sync(() => {
      if (!(chunk instanceof Uint8Array)) return
      unsent.push(chunk)
      send()
    })

  return Socket.make({
    reader: Effect.succeed({ pull: Queue.takeAll(replies), upgrade: Socket.SocketUpgradeError.unsupported }),
    writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
  })
})
