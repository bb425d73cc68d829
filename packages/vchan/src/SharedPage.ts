/**
 * The shared page's header: the only place that knows its layout (public/io/libxenvchan.h).
 *
 * | offset | size | field | written by |
 * |--|--|--|--|
 * | 0, 4 | u32 | left.cons, left.prod | server, client |
 * | 8, 12 | u32 | right.cons, right.prod | client, server |
 * | 16, 18 | u16 | left_order, right_order | server, once |
 * | 20, 21 | u8 | cli_live, srv_live | client, server |
 * | 22, 23 | u8 | cli_notify, srv_notify | set by the other side, cleared by the named one |
 * | 24 | u32[] | grants: the left ring's pages, then the right's | server, once |
 *
 * The memory belongs to whoever shared or mapped it and must not be touched once that Scope has closed. The peer may write any byte at any
 * time: each method reads a field once and returns a copy. Little-endian, as are all machines that Xen runs on.
 */
import type { GrantReference } from "@vchan/xen"
import type { RingMemory } from "./Ring.ts"
import { notifyBit } from "./Ring.ts"
import { type Orders, ringOffset, ringSize } from "./RingGeometry.ts"
import type { Vchan } from "./Vchan.ts"

type Role = Vchan["role"]

/** The honest values of a live byte. `waiting` is the client's before the first one came, and between two. */
export const live = { gone: 0, connected: 1, waiting: 2 } as const

/** The indexes, counted in u32. */
const index = { leftCons: 0, leftProd: 1, rightCons: 2, rightProd: 3 } as const
const orderAt = { left: 16, right: 18 } as const
const grantsAt = 24

/** The byte that is cleared when a side is gone, by the hypervisor where need be. */
export const liveAt = { client: 20, server: 21 } as const

const notifyAt = { client: 22, server: 23 } as const

const otherOf = { client: "server", server: "client" } as const

/** A shared page's header, as one of both sides sees it. */
export class SharedPage {
  private readonly buffer: ArrayBuffer | SharedArrayBuffer
  private readonly indexes: Int32Array
  private readonly bytes: Uint8Array
  private readonly view: DataView

  constructor(buffer: ArrayBuffer | SharedArrayBuffer) {
    this.buffer = buffer
    this.indexes = new Int32Array(buffer, 0, 4)
    this.bytes = new Uint8Array(buffer, 0, grantsAt)
    this.view = new DataView(buffer)
  }

  /** Fills in a fresh page, as a server does before it tells anybody. */
  initialise(orders: Orders, references: ReadonlyArray<GrantReference>): void {
    this.view.setUint16(orderAt.left, orders.left, true)
    this.view.setUint16(orderAt.right, orders.right, true)
    this.bytes[liveAt.client] = live.waiting
    this.bytes[liveAt.server] = live.connected
    this.bytes[notifyAt.client] = notifyBit.write
    this.bytes[notifyAt.server] = 0
    references.forEach((reference, at) => this.view.setUint32(grantsAt + 4 * at, reference, true))
  }

  /** What the server offers, unchecked. */
  readOrders(): Orders {
    return { left: this.view.getUint16(orderAt.left, true), right: this.view.getUint16(orderAt.right, true) }
  }

  /** The first `count` grant references of the list, unchecked; `count` must come from checked orders. */
  readReferences(count: number): Array<GrantReference> {
    return Array.from({ length: count }, (_, at) => this.view.getUint32(grantsAt + 4 * at, true))
  }

  /** A side's live byte. Whatever that side did before it changed the byte is seen by reads after this one. */
  live(side: Role): number {
    return Atomics.load(this.bytes, liveAt[side])
  }

  /** Whether a side is seen gone: a hint without any ordering, for the hot path. */
  isGone(side: Role): boolean {
    return this.bytes[liveAt[side]] === live.gone
  }

  setLive(side: Role, value: number): void {
    Atomics.store(this.bytes, liveAt[side], value)
  }

  /** Says that the server waits for a client again, unless one has connected meanwhile. */
  awaitClient(): void {
    const value = this.live("client")
    if (value !== live.connected) Atomics.compareExchange(this.bytes, liveAt.client, value, live.waiting)
  }

  /** Asks for a ring at the peer's first write, and forgets what a former client had asked for. */
  greet(side: Role): void {
    Atomics.store(this.bytes, notifyAt[otherOf[side]], notifyBit.write)
  }

  /**
   * Empties both rings between two clients: the server's own indexes are put back where it left them, and what a former client did not read
   * is counted as read. Returns where the server goes on reading. Only while no client is connected: then nobody owns the client's indexes;
   * otherwise nothing is done, and undefined is returned. A client that connects meanwhile sees either value of right.cons.
   */
  empty(writing: number): number | undefined {
    const reading = Atomics.load(this.indexes, index.leftProd)
    // Looked at after the index: a client connects before it writes, so nothing of one that comes now is counted as read.
    if (this.live("client") === live.connected) return undefined
    Atomics.store(this.indexes, index.leftCons, reading)
    Atomics.store(this.indexes, index.rightProd, writing)
    Atomics.store(this.indexes, index.rightCons, writing)
    return reading
  }

  /** The ring that `side` reads or writes. `pages` are the ring's own; without, it lies in this page. */
  ring(side: Role, use: "read" | "write", order: number, pages: ArrayBuffer | SharedArrayBuffer | undefined): RingMemory {
    const left = (side === "server") === (use === "read")
    const size = ringSize(order)
    return {
      indexes: this.indexes,
      header: this.bytes,
      data: pages === undefined ? new Uint8Array(this.buffer, ringOffset(order), size) : new Uint8Array(pages, 0, size),
      cons: left ? index.leftCons : index.rightCons,
      prod: left ? index.leftProd : index.rightProd,
      askAt: notifyAt[otherOf[side]],
      askedAt: notifyAt[side]
    }
  }
}
