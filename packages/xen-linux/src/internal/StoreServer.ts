/**
 * The store's side of the sockets `xs.<domid>`: XenStore's wire protocol, as xenstored speaks it.
 *
 * A connection's watches and transactions end with it. A client that breaks the protocol, or takes nothing of what it is sent, loses its
 * connection; nobody else notices. A client is not sent more events than it takes because of another's haste: whoever changes the store
 * faster than a watcher can follow is slowed down, as xenstored limits the rate of writes.
 */
import { type DomId, type XenStoreTree, XenStoreWire } from "@vchan/xen"
import { Effect } from "effect"
import { Socket } from "effect/socket"
import { makeOutbox } from "./Outbox.ts"

/** What a request costs whose events found a watcher with much to read. */
const pause = "1 millis"

/** Serves connections of domains to a store, each until it ends. */
export const makeStoreServer = (tree: XenStoreTree): (domid: DomId, socket: Socket.Socket) => Effect.Effect<void> => {
  let crowded = false
  const crowd = () => void (crowded = true)

  return (domid, socket) =>
    Effect.gen(function*() {
      const pull = yield* Socket.readerBytes(socket)
      const writer = yield* socket.writer
      // Not the polite end, which would wait for a client that reads nothing.
      yield* Effect.addFinalizer(() => Effect.ignore(writer.write(new Socket.CloseEvent())))
      if (!tree.stats().domains.includes(domid)) return
      const outbox = makeOutbox(writer, crowd)
      const session = yield* Effect.acquireRelease(
        Effect.sync(() => tree.connect(domid, (packet) => outbox.offer(XenStoreWire.encode(packet)))),
        (session) => Effect.sync(() => session.close())
      )
      const decoder = new XenStoreWire.Decoder()
      const answer = Effect.gen(function*() {
        while (true) {
          for (const chunk of yield* pull) {
            const { packets, violation } = decoder.feed(chunk)
            for (const packet of packets) {
              crowded = false
              session.handle(packet)
              if (crowded) yield* Effect.andThen(Effect.sleep(pause), outbox.ready)
            }
            if (violation !== undefined) return
          }
        }
      })
      yield* Effect.raceFirst(answer, outbox.run)
    }).pipe(
      Effect.scoped,
      Effect.ignore
    )
}
