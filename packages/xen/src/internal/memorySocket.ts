/**
 * A socket to a store in the same process, as `/var/run/xenstored/socket` is to xenstored.
 *
 * The connection is there from the start and ends with `end`, whereupon the socket's reader fails as one whose server has gone.
 */
import { Cause, Effect, Queue } from "effect"
import { Socket } from "effect/socket"
import type { DomId } from "../DomId.ts"
import type { XenStoreTree } from "../XenStoreTree.ts"
import * as XenStoreWire from "../XenStoreWire.ts"

const closed = (): Socket.SocketError => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })

/** The client's end of a connection to `tree` as `domid`. */
export const memorySocket = Effect.fnUntraced(function*(tree: XenStoreTree, domid: DomId) {
  const replies = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
  const session = tree.connect(domid, (packet) => void Queue.offerUnsafe(replies, XenStoreWire.encode(packet)))
  const decoder = new XenStoreWire.Decoder()
  let open = true
  const end = (): void => {
    if (!open) return
    open = false
    session.close()
    Queue.failCauseUnsafe(replies, Cause.fail(closed()))
  }

  const write = (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      if (!open) return Effect.fail(closed())
      if (!(chunk instanceof Uint8Array)) return Effect.void
      const { packets, violation } = decoder.feed(chunk)
      for (const packet of packets) session.handle(packet)
      if (violation !== undefined) end()
      return Effect.void
    })

  return {
    socket: Socket.make({
      reader: Effect.succeed({ pull: Queue.takeAll(replies), upgrade: Socket.SocketUpgradeError.unsupported }),
      writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
    }),
    end
  }
})
