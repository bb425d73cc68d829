/**
 * The store's side of the sockets `xs.<domid>`: XenStore's wire protocol, as xenstored speaks it.
 *
 * A connection's watches and transactions end with it. A client that breaks the protocol, or takes nothing of what it is sent, loses its
 * connection; nobody else notices.
 */
import { type DomId, type XenStoreTree, XenStoreWire } from "@vchan/xen"
import { Effect } from "effect"
import { Socket } from "effect/socket"
import { makeOutbox } from "./Outbox.ts"

/** Serves one connection of a domain until it ends. */
export const serveStore = (tree: XenStoreTree, domid: DomId, socket: Socket.Socket): Effect.Effect<void> =>
  Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    // Not the polite end, which would wait for a client that reads nothing.
    yield* Effect.addFinalizer(() => Effect.ignore(writer.write(new Socket.CloseEvent())))
    if (!tree.stats().domains.includes(domid)) return
    const outbox = makeOutbox(writer)
    const session = yield* Effect.acquireRelease(
      Effect.sync(() => tree.connect(domid, (packet) => outbox.offer(XenStoreWire.encode(packet)))),
      (session) => Effect.sync(() => session.close())
    )
    const decoder = new XenStoreWire.Decoder()
    const answer = Effect.gen(function*() {
      while (true) {
        for (const chunk of yield* pull) {
          const { packets, violation } = decoder.feed(chunk)
          for (const packet of packets) session.handle(packet)
          if (violation !== undefined) return
        }
        yield* outbox.ready
      }
    })
    yield* Effect.raceFirst(answer, outbox.run)
  }).pipe(
    Effect.scoped,
    Effect.ignore
  )
