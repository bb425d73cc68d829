/**
 * A listener as Effect's `SocketServer`: each client that connects is a `Socket` of its own.
 *
 * The listener belongs to the Scope it was made in. A connection ends when its handler does, or lets go of the socket's reader, and with
 * `run`. Clients that come before `run` wait for it, for as long as they like.
 */
import { type EventChannel, type GrantTable, ownDomid, type XenStore } from "@vchan/xen"
import { Context, Deferred, Effect, FiberSet, Layer, Queue, type Scope } from "effect"
import { NetAddress } from "effect/net"
import { Socket, SocketServer } from "effect/socket"
import { serviceDirectory } from "./Admission.ts"
import { asVchanError } from "./asVchanError.ts"
import * as Listener from "./Listener.ts"
import type { Vchan } from "./Vchan.ts"
import type { VchanError } from "./VchanError.ts"
import { fromOpening } from "./VchanSocket.ts"

/** What to serve, and whom. */
export type Options = Omit<Listener.ListenerOptions<never>, "handler">

/**
 * The vchan beneath the socket that a handler of `run` was given: its `peer` is the domain that connected. To be read and written through the
 * socket alone. Asking for it elsewhere is a defect.
 */
export const CurrentVchan: Context.Reference<Vchan> = Context.Reference<Vchan>("@vchan/vchan/VchanSocketServer/CurrentVchan", {
  defaultValue: () => {
    throw new Error("there is no CurrentVchan: this code does not run in a handler of a VchanSocketServer")
  }
})

/** A `SocketServer` that can be closed to new clients. */
export type Server = SocketServer.SocketServer["Service"] & Pick<Listener.Listener, "close">

interface Accepted {
  readonly vchan: Vchan
  /** A handler has it. */
  taken: boolean
  /** Nobody needs the vchan any more. */
  readonly over: Deferred.Deferred<void>
}

const isClose = (error: unknown): boolean => Socket.isSocketError(error) && error.reason._tag === "SocketCloseError"

/**
 * Starts to listen. The server's address is its directory in XenStore, as a path.
 *
 * Fails with what XenStore refuses. `run` fails with `SocketServerUnknownError`, whose cause is the `VchanError`, when no more clients can
 * come; what one handler fails with, but a close, is logged as a warning and ends its own connection.
 */
export const make = (
  options: Options
): Effect.Effect<Server, VchanError, GrantTable | EventChannel | XenStore | Scope.Scope> =>
  Effect.gen(function*() {
    const accepted = yield* Queue.unbounded<Accepted>()
    const handler = Effect.fnUntraced(function*(vchan: Vchan) {
      const over = yield* Deferred.make<void>()
      const connection: Accepted = { vchan, taken: false, over }
      yield* Queue.offer(accepted, connection)
      // One that ends is still read to its last byte, by who has it.
      const left = Effect.andThen(vchan.ended, Effect.suspend(() => connection.taken ? Effect.never : Effect.void))
      yield* Effect.raceFirst(Deferred.await(over), left)
    })
    const own = yield* Effect.mapError(ownDomid, asVchanError(0, options.path))
    const address = NetAddress.unixPathAddress(serviceDirectory(own, options.path))
    const listener = yield* Listener.make({ ...options, handler })
    const ended = Effect.flatMap(listener.ended, (cause) => {
      const reason = new SocketServer.SocketServerUnknownError({ cause })
      return Effect.fail(new SocketServer.SocketServerError({ reason }))
    })
    return {
      address,
      close: listener.close,
      run: Effect.fnUntraced(function*<R, E, _>(handle: (socket: Socket.Socket) => Effect.Effect<_, E, R>) {
        const context = yield* Effect.context<R>()
        const serve = (connection: Accepted) => {
          const { over, vchan } = connection
          connection.taken = true
          const finish = Deferred.succeed(over, undefined)
          const socket = fromOpening(Effect.acquireRelease(Effect.succeed(vchan), () => finish))
          return handle(socket).pipe(
            Effect.provideContext(Context.add(context, CurrentVchan, vchan)),
            Effect.catchIf(isClose, () => Effect.void),
            Effect.ignoreCause({ log: "Warn", message: `the connection of domain ${vchan.peer} to ${address.path} ended` }),
            Effect.ensuring(finish)
          )
        }
        return yield* FiberSet.make().pipe(
          Effect.flatMap((connections) =>
            Effect.forever(
              Effect.flatMap(
                Queue.take(accepted),
                // Begun at once, or not at all: whatever begins ends the connection when it is interrupted.
                (connection) => FiberSet.run(connections, Effect.suspend(() => serve(connection)))
              )
            )
          ),
          Effect.raceFirst(ended),
          Effect.scoped
        )
      })
    }
  })

/** The `SocketServer` of a listener, for as long as the Layer lives. */
export const layer = (options: Options): Layer.Layer<SocketServer.SocketServer, VchanError, GrantTable | EventChannel | XenStore> =>
  Layer.effect(SocketServer.SocketServer, make(options))
