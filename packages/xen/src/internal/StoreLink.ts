/**
 * A client's connection to a XenStore server: requests and their replies, matched by request number, and watch events by token.
 *
 * Lives in the Scope it was made in: one fiber reads and one writes. When the socket ends, or what comes from it is no XenStore protocol, all
 * that waits fails, and so does all that is asked later.
 */
import { Effect, Exit, Latch, type Scope } from "effect"
import { Socket } from "effect/socket"
import { HostLost, HostMissing, StoreProtocol, XenStoreError } from "../XenError.ts"
import { Decoder, decodeStrings, encode, Operation, type Packet } from "../XenStoreWire.ts"
import type { WatchBuffer } from "./WatchBuffer.ts"

/** A request, before it has a number. */
export type Request = Omit<Packet, "requestId">

/** Takes a reply, or why none will come. Must not throw. */
export type Settle = (reply: Exit.Exit<Packet, XenStoreError>) => void

/** The connection. */
export interface StoreLink {
  /**
   * Sends a request and waits for its reply. Interrupted, it is not sent if it was not yet, and the reply that may still come is dropped, or
   * given to `late`.
   */
  readonly call: (request: Request, late?: (reply: Packet) => void) => Effect.Effect<Packet, XenStoreError>
  /** Sends a request that is not taken back; `settle` gets its reply. */
  readonly post: (request: Request, settle: Settle) => void
  /** The most bytes that a request's payload may have. */
  readonly maxPayload: number
  /** Who gets the events of which token. */
  readonly watches: Map<string, WatchBuffer>
}

const protocolError = (detail: string): XenStoreError =>
  new XenStoreError({ reason: new StoreProtocol({ operation: "connection", path: "", detail: `${detail}: the connection is given up` }) })

/** Connects. Fails with `HostMissing` where nobody answers. */
export const makeStoreLink = Effect.fnUntraced(function*(options: {
  readonly socket: Socket.Socket
  readonly host: string
  readonly maxPayload: number
}): Effect.fn.Return<StoreLink, XenStoreError, Scope.Scope> {
  const { host, maxPayload } = options
  const hostLost = new XenStoreError({ reason: new HostLost({ host }) })
  const decoder = new Decoder()
  const waiting = new Map<number, Settle>()
  const unsent = new Map<number, Uint8Array>()
  const work = Latch.makeUnsafe(false)
  const watches = new Map<string, WatchBuffer>()
  let lost: XenStoreError | undefined
  let lastId = 0

  const lose = (error: XenStoreError): void => {
    if (lost !== undefined) return
    lost = error
    const exit = Exit.fail(error)
    const settles = [...waiting.values()]
    waiting.clear()
    unsent.clear()
    for (const settle of settles) settle(exit)
    for (const watch of watches.values()) watch.fail(error)
  }

  const send = (request: Request, settle: Settle): number => {
    do lastId = (lastId + 1) >>> 0
    while (lastId === 0 || waiting.has(lastId))
    waiting.set(lastId, settle)
    unsent.set(lastId, encode({ ...request, requestId: lastId }))
    work.openUnsafe()
    return lastId
  }

  const event = (payload: Uint8Array): XenStoreError | undefined => {
    const [path, token, ...more] = decodeStrings(payload) ?? []
    if (path === undefined || token === undefined || more.length > 0) return protocolError("a watch event is malformed")
    watches.get(token)?.add(path)
    return undefined
  }

  const receive = (bytes: Uint8Array): XenStoreError | undefined => {
    const { packets, violation } = decoder.feed(bytes)
    for (const packet of packets) {
      if (packet.type === Operation.WATCH_EVENT) {
        const error = event(packet.payload)
        if (error !== undefined) return error
      } else {
        const settle = waiting.get(packet.requestId)
        waiting.delete(packet.requestId)
        settle?.(Exit.succeed(packet))
      }
    }
    return violation && protocolError(`a payload of ${violation.length} bytes was announced`)
  }

  const pull = yield* Socket.readerBytes(options.socket).pipe(Effect.mapError(({ reason }) => {
    const hint = `it does not answer${
      "cause" in reason && reason.cause instanceof Error ? ` (${reason.cause.message})` : ""
    }: start it first`
    return new XenStoreError({ reason: new HostMissing({ host, hint }) })
  }))
  const writer = yield* options.socket.writer
  yield* Effect.addFinalizer(() => Effect.sync(() => lose(hostLost)))

  const read = Effect.flatMap(pull, (chunks) => {
    for (const chunk of chunks) {
      const error = receive(chunk)
      if (error !== undefined) return Effect.fail(error)
    }
    return Effect.void
  })
  const write = Effect.flatMap(work.await, () => {
    work.closeUnsafe()
    const [first, ...others] = unsent.values()
    unsent.clear()
    return first === undefined ? Effect.void : writer.writeAll([first, ...others])
  })
  for (const side of [read, write]) {
    yield* Effect.forever(side).pipe(
      Effect.catchTag("XenStoreError", (error) => Effect.sync(() => lose(error))),
      // However else a side ends, nothing will be answered any more.
      Effect.onExit(() => Effect.sync(() => lose(hostLost))),
      Effect.forkScoped
    )
  }

  return {
    maxPayload,
    watches,
    call: (request, late) =>
      Effect.callback((resume) => {
        if (lost !== undefined) return resume(Effect.fail(lost))
        const id = send(request, resume)
        return Effect.sync(() => {
          const sent = !unsent.delete(id)
          if (sent && late !== undefined) waiting.set(id, (reply) => Exit.isSuccess(reply) ? late(reply.value) : undefined)
          else waiting.delete(id)
        })
      }),
    post: (request, settle) => void (lost === undefined ? send(request, settle) : settle(Exit.fail(lost)))
  }
})
