/**
 * A store behind a socket in the same process: a {@link XenStoreTree}, or any answers a test makes up.
 */
import { Cause, Effect, Queue, type Scope } from "effect"
import { Socket } from "effect/socket"
import type { XenStoreError } from "../../src/XenError.ts"
import type { XenStore } from "../../src/XenStore.ts"
import * as XenStoreClient from "../../src/XenStoreClient.ts"
import { XenStoreTree } from "../../src/XenStoreTree.ts"
import * as Wire from "../../src/XenStoreWire.ts"

const closed = (): Socket.SocketError => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })

/** One connection's server end. */
export class StoreServer {
  /** What came from the client. */
  readonly received: Array<Wire.Packet> = []
  readonly socket: Socket.Socket
  readonly #toClient = Effect.runSync(Queue.unbounded<Uint8Array, Socket.SocketError>())
  readonly #answer: (packet: Wire.Packet) => void
  #held: Array<Wire.Packet> | undefined

  /** Answers with `answer`, which may send. */
  constructor(answer: (packet: Wire.Packet, server: StoreServer) => void) {
    this.#answer = (packet) => answer(packet, this)
    const decoder = new Wire.Decoder()
    const write = (chunk: Uint8Array | string | Socket.CloseEvent) =>
      Effect.sync(() => {
        if (!(chunk instanceof Uint8Array)) return
        for (const packet of decoder.feed(chunk).packets) this.#receive(packet)
      })
    this.socket = Socket.make({
      reader: Effect.succeed({ pull: Queue.takeAll(this.#toClient), upgrade: Socket.SocketUpgradeError.unsupported }),
      writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
    })
  }

  send(packet: Wire.Packet): void {
    this.sendBytes(Wire.encode(packet))
  }

  sendBytes(bytes: Uint8Array): void {
    Queue.offerUnsafe(this.#toClient, bytes)
  }

  /** Lets requests wait from now on. */
  hold(): void {
    this.#held ??= []
  }

  /** Answers what waited, in the given order. */
  release(order: (packets: ReadonlyArray<Wire.Packet>) => ReadonlyArray<Wire.Packet> = (packets) => packets): void {
    const held = order(this.#held ?? [])
    this.#held = undefined
    for (const packet of held) this.#answer(packet)
  }

  close(): void {
    Queue.failCauseUnsafe(this.#toClient, Cause.fail(closed()))
  }

  /** The types of what came. */
  get operations(): ReadonlyArray<number> {
    return this.received.map(({ type }) => type)
  }

  #receive(packet: Wire.Packet): void {
    this.received.push(packet)
    if (this.#held === undefined) this.#answer(packet)
    else this.#held.push(packet)
  }
}

/** A connection to a tree. It ends with the Scope. */
const connectTree = (tree: XenStoreTree, domid: number): Effect.Effect<StoreServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const session = tree.connect(domid, (packet) => server.send(packet))
      const server = new StoreServer((packet) => session.handle(packet))
      return { server, session }
    }),
    ({ session }) => Effect.sync(() => session.close())
  ).pipe(Effect.map(({ server }) => server))

/** A client over a socket. */
export const clientOf = (server: StoreServer): Effect.Effect<XenStore["Service"], XenStoreError, Scope.Scope> =>
  XenStoreClient.make({ socket: server.socket, host: "/run/test-host" })

/** A tree with domain 1, and a client and its connection for each domid. */
export const setup = Effect.gen(function*() {
  const tree = new XenStoreTree()
  tree.introduce(1)
  const connect = Effect.fnUntraced(function*(domid: number) {
    const server = yield* connectTree(tree, domid)
    return { server, store: yield* clientOf(server) }
  })
  return { tree, connect, ...yield* connect(1) }
})

/** A client of a server that answers everything so. */
export const answering = (payload: Uint8Array, type?: number) => {
  const server = new StoreServer((packet, server) => server.send({ ...packet, type: type ?? packet.type, payload }))
  return Effect.map(clientOf(server), (store) => ({ server, store }))
}

/** Waits, for no more than a moment, until something is so. */
export const until = (condition: () => boolean) =>
  Effect.gen(function*() {
    while (!condition()) yield* Effect.yieldNow
  }).pipe(Effect.timeout("60 seconds"))

export const code = (error: XenStoreError) => error.code
export const tag = (error: XenStoreError) => error.reason._tag
