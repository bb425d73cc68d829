/**
 * What waits to be written to one socket: bounded, so that a client that never reads costs little and loses its connection.
 *
 * Made for one connection and running in its fiber; dropped with it.
 */
import { Deferred, Effect, Latch } from "effect"
import type { Socket } from "effect/socket"

/** Above this many waiting bytes a connection's requests wait too: `ready` holds them up. */
const highWater = 1 << 16

/** Above this many waiting bytes the connection ends: nobody reads there. */
const limit = 1 << 20

/** Bytes on their way to one client. */
export interface Outbox {
  /** Takes a packet to be sent. */
  readonly offer: (bytes: Uint8Array) => void
  /** Waits while more than a little is to be sent. */
  readonly ready: Effect.Effect<void>
  /** Sends; ends when the client takes nothing for too long, or with the socket. */
  readonly run: Effect.Effect<void, Socket.SocketError>
}

/** An outbox of a connected writer. `crowded` is called when a packet comes while more than a little waits. */
export const makeOutbox = (writer: Socket.Writer, crowded: () => void): Outbox => {
  const wake = Latch.makeUnsafe(false)
  const drained = Latch.makeUnsafe(true)
  const overflow = Deferred.makeUnsafe<void>()
  let waiting: Array<Uint8Array> = []
  let bytes = 0

  const send = Effect.gen(function*() {
    while (true) {
      yield* wake.await
      wake.closeUnsafe()
      const [first, ...others] = waiting
      waiting = []
      bytes = 0
      if (first !== undefined) yield* writer.writeAll([first, ...others])
      if (bytes <= highWater) drained.openUnsafe()
    }
  })

  return {
    offer: (packet) => {
      waiting.push(packet)
      bytes += packet.length
      if (bytes > highWater) {
        drained.closeUnsafe()
        crowded()
      }
      if (bytes > limit) Deferred.doneUnsafe(overflow, Effect.void)
      wake.openUnsafe()
    },
    ready: drained.await,
    run: Effect.raceFirst(send, Deferred.await(overflow))
  }
}
