/**
 * A vchan as Effect's `Socket`, for what Effect runs over sockets: its own RPC, its cluster, its channels.
 *
 * Each acquisition of the reader opens a vchan, which belongs to the Scope that it was acquired in; acquiring it again connects again.
 * Writes belong to no connection in particular, and wait while there is none. A vchan carries bytes alone: there is no half-close and no
 * close code, so the peer of a socket that is closed sees 1000 whatever the code was, as it does where this process is killed.
 */
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer, Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import type { Vchan } from "./Vchan.ts"
import type { VchanError } from "./VchanError.ts"

const failed = (reason: Socket.SocketErrorReason): Socket.SocketError => new Socket.SocketError({ reason })

const closed = (code: number, closeReason?: string): Socket.SocketError => failed(new Socket.SocketCloseError({ code, closeReason }))

const openError = (cause: VchanError): Socket.SocketError =>
  failed(new Socket.SocketOpenError({ kind: cause.reason._tag === "ServerAbsent" ? "Timeout" : "Unknown", cause }))

const readError = (cause: VchanError): Socket.SocketError => {
  const tag = cause.reason._tag
  return tag === "DomainGone" || tag === "Closed" ? closed(1006, cause.message) : failed(new Socket.SocketReadError({ cause }))
}

const writeError = (cause: VchanError): Socket.SocketError => failed(new Socket.SocketWriteError({ cause }))

const encoder = new TextEncoder()

interface Connection {
  readonly vchan: Vchan
  readonly close: (why: Socket.SocketError) => Effect.Effect<void>
}

/** A socket over the vchans that `open` opens: what `make` gives. */
export const fromOpening = (open: Effect.Effect<Vchan, VchanError, Scope.Scope>): Socket.Socket => {
  const connected = Latch.makeUnsafe(false)
  let current: Connection | undefined

  const reader: Socket.Socket["reader"] = Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const vchan = yield* open.pipe(Scope.provide(scope), Effect.mapError(openError))
    let why: Socket.SocketError | undefined
    const connection: Connection = {
      vchan,
      close: (error) =>
        Effect.suspend(() => {
          why ??= error
          return Scope.close(scope, Exit.void)
        })
    }
    const bytes = yield* Scope.provide(Stream.toPull(vchan.stream), scope)
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        why ??= closed(1006, "this end of the socket was closed")
        if (current !== connection) return
        current = undefined
        connected.closeUnsafe()
      })
    )
    current = connection
    connected.openUnsafe()
    const pull = Effect.mapError(bytes, (error) => Cause.isDone(error) ? closed(1000) : readError(error))
    return {
      // A pull that waits when the socket is closed fails with the vchan that goes away beneath it, but for this reason.
      pull: Effect.mapError(Effect.suspend(() => why === undefined ? pull : Effect.fail(why)), (error) => why ?? error),
      upgrade: Socket.SocketUpgradeError.unsupported
    }
  })

  const onceConnected = (
    use: (connection: Connection) => Effect.Effect<void, Socket.SocketError>
  ): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => current === undefined ? connected.whenOpen(onceConnected(use)) : use(current))

  const write = (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> =>
    onceConnected(({ close, vchan }) => {
      if (Socket.isCloseEvent(chunk)) return close(closed(chunk.code, chunk.reason))
      const bytes = typeof chunk === "string" ? encoder.encode(chunk) : chunk
      const written = Effect.mapError(vchan.write(bytes), writeError)
      // Where it has to wait, an interruption must not leave half of it behind: its end is the connection's.
      return vchan.spaceUnsafe() >= bytes.length
        ? written
        : Effect.flatMap(Effect.forkDetach(written, { startImmediately: true }), Fiber.join)
    })

  return Socket.make({
    reader,
    writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
  })
}

/**
 * A socket over the vchans that `open` opens: `Listener.connect`, `Handshake.client`, or what else gives one.
 *
 * Acquiring the reader fails with `SocketOpenError` where no vchan came, of kind `Timeout` where there was no server. A pull takes up to 64 KiB
 * out of the ring. It fails with `SocketCloseError`: of code 1000 after the last byte of a peer that closed or died, of 1006 where its domain
 * vanished, of the code given where this end was closed by a `CloseEvent`; and with `SocketReadError` where the peer broke the ring. A write
 * is over when its bytes are in the ring, and fails with `SocketWriteError`; one that is interrupted meanwhile is written to its end all
 * the same, so do not change its bytes. The `VchanError` is the `cause`.
 *
 * @example
 * ```ts
 * import { Listener, VchanSocket } from "@vchan/vchan"
 * import { Effect, Stream } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const socket = yield* VchanSocket.make(Listener.connect({ domid: 5, path: "data/lines" }))
 *   const { write } = yield* socket.writer
 *   yield* Effect.forkScoped(write("hello\n"))
 *   yield* Stream.runForEach(Socket.toStream(socket), (bytes) => Effect.log(`${bytes.length} bytes`))
 * })
 * ```
 */
export const make = <R>(open: Effect.Effect<Vchan, VchanError, R | Scope.Scope>): Effect.Effect<Socket.Socket, never, R> =>
  Effect.contextWith((services: Context.Context<R>) =>
    Effect.succeed(fromOpening(Effect.updateContext(open, (scope: Context.Context<Scope.Scope>) => Context.merge(services, scope))))
  )

/** The `Socket` over the vchans that `open` opens. */
export const layer = <R>(open: Effect.Effect<Vchan, VchanError, R | Scope.Scope>): Layer.Layer<Socket.Socket, never, R> =>
  Layer.effect(Socket.Socket, make(open))
