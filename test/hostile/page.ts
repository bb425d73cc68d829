/**
 * What a hostile peer does to a shared page, as plain data, and the hand that does it. The layout is libxenvchan.h's, told again here.
 */
import type { Port } from "@vchan/xen"
import * as fc from "fast-check"

type Field = readonly [offset: number, bytes: 1 | 2 | 4]

const fields = {
  leftCons: [0, 4],
  leftProd: [4, 4],
  rightCons: [8, 4],
  rightProd: [12, 4],
  leftOrder: [16, 2],
  rightOrder: [18, 2],
  clientLive: [20, 1],
  serverLive: [21, 1],
  clientNotify: [22, 1],
  serverNotify: [23, 1],
  firstGrant: [24, 4],
  secondGrant: [28, 4]
} satisfies Record<string, Field>

type FieldName = keyof typeof fields

/** Where the header and the grants of the largest rings used here end. What lies behind is nobody's, or a ring's. */
const headerEnd = 64

/** Fills what is nobody's: where it is read from, or changes, somebody went beyond a ring. */
export const canary = 0x5A

/** One thing to do. */
export type PageAction =
  /** Any bytes at any place. */
  | { readonly does: "poke"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly does: "set"; readonly field: FieldName; readonly value: number }
  /** Moves a field from where it is, wrapping. */
  | { readonly does: "move"; readonly field: FieldName; readonly by: number }
  /** From now on sets a field anew in each turn, to one value after the other. */
  | { readonly does: "stick"; readonly field: FieldName; readonly values: ReadonlyArray<number> }
  | { readonly does: "unstick" }
  /** As an honest peer: writes, or reads, up to so many bytes, and rings. */
  | { readonly does: "produce" | "consume"; readonly count: number }
  /** As an honest peer: comes, or goes, and rings. */
  | { readonly does: "come" | "go" }
  | { readonly does: "ring"; readonly times: number }
  | { readonly does: "wait"; readonly turns: number }

const names = fc.constantFrom(...(Object.keys(fields) as ReadonlyArray<FieldName>))
const edges = [0, 1, 2, 3, 7, 10, 11, 12, 20, 21, 127, 255, 1023, 1024, 1025, 2048, 4095, 4096, 65535, 0x7FFF_FFFF, 0x8000_0000]
const u32 = fc.oneof(
  fc.constantFrom(...edges),
  fc.constantFrom(...edges).map((edge) => -edge >>> 0),
  fc.integer({ min: 0, max: 0xFFFF_FFFF })
)
const step = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(1023, 1024, 1025, -1024, 2048, 4096, -4096), u32)
const does = <const Name extends string>(name: Name) => fc.constant(name)

/** Any of them, for some turns of the event loop. */
export const pageAction: fc.Arbitrary<PageAction> = fc.oneof(
  fc.record({ does: does("poke"), at: fc.nat(4095), bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
  fc.record({ does: does("set"), field: names, value: u32 }),
  fc.record({ does: does("move"), field: names, by: step }),
  fc.record({ does: does("stick"), field: names, values: fc.array(u32, { minLength: 1, maxLength: 3 }) }),
  fc.record({ does: does("unstick") }),
  { weight: 3, arbitrary: fc.record({ does: fc.constantFrom("produce", "consume"), count: fc.nat(3000) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constantFrom("come", "come", "go") }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: does("ring"),
      times: fc.oneof({ weight: 10, arbitrary: fc.nat(3) }, { weight: 9, arbitrary: fc.constant(1000) }, fc.constant(100_000))
    })
  },
  { weight: 3, arbitrary: fc.record({ does: does("wait"), turns: fc.integer({ min: 1, max: 5 }) }) }
)

/** A page in hostile hands. */
export class HostilePage {
  private readonly view: DataView
  private readonly bytes: Uint8Array
  private readonly port: Port
  private readonly role: "server" | "client"
  /** The data of the ring that it reads, and of the one that it writes. */
  private readonly rings: { readonly read: Uint8Array; readonly written: Uint8Array }
  /** Where the rings in the page begin; what lies before that and behind the header is nobody's. */
  private readonly guarded: Uint8Array
  private readonly shadow: Uint8Array
  private readonly stuck = new Map<FieldName, ReadonlyArray<number>>()
  /** Whether this side, a server, has told other places for the rings: one that comes to connect finds them anywhere, in this page too. */
  isElsewhere = false
  private timer: NodeJS.Immediate | undefined
  private turn = 0

  constructor(options: {
    readonly role: "server" | "client"
    readonly page: ArrayBuffer | SharedArrayBuffer
    readonly rings: { readonly read: Uint8Array; readonly written: Uint8Array }
    readonly port: Port
    readonly guarded: number
  }) {
    const { guarded, page, port, rings, role } = options
    this.view = new DataView(page)
    this.bytes = new Uint8Array(page)
    this.port = port
    this.role = role
    this.rings = rings
    this.guarded = new Uint8Array(page, headerEnd, Math.max(0, guarded - headerEnd)).fill(canary)
    this.shadow = this.guarded.slice()
  }

  /** Whether what is nobody's is as this side left it, as far as that is known. */
  get isUntouched(): boolean {
    return this.isElsewhere || this.guarded.every((byte, at) => byte === this.shadow[at])
  }

  /** Does one thing; returns how many turns to wait. */
  act(action: PageAction): number {
    switch (action.does) {
      case "poke":
        this.poke(action.at, action.bytes)
        return 0
      case "set":
        this.set(action.field, action.value)
        return 0
      case "move":
        this.set(action.field, this.get(action.field) + action.by)
        return 0
      case "stick":
        this.stuck.set(action.field, action.values)
        this.timer ??= setImmediate(this.again)
        return 0
      case "unstick":
        this.rest()
        return 0
      case "produce":
        this.produce(action.count)
        return 0
      case "consume":
        this.consume(action.count)
        return 0
      case "come":
      case "go":
        this.set(this.role === "server" ? "serverLive" : "clientLive", action.does === "come" ? 1 : 0)
        this.port.notifyUnsafe()
        return 0
      case "ring":
        for (let times = 0; times < action.times; times++) this.port.notifyUnsafe()
        return 0
      case "wait":
        return action.turns
    }
  }

  /** Changes nothing any more by itself. */
  rest(): void {
    this.stuck.clear()
    clearImmediate(this.timer)
    this.timer = undefined
  }

  /** Goes as a peer does. */
  leave(): void {
    this.rest()
    this.act({ does: "go" })
  }

  private readonly again = (): void => {
    this.turn++
    for (const [field, values] of this.stuck) this.set(field, values[this.turn % values.length] ?? 0)
    this.timer = setImmediate(this.again)
  }

  private poke(at: number, bytes: Uint8Array): void {
    bytes.forEach((byte, index) => {
      const place = at + index
      if (place >= this.bytes.length) return
      this.touch(place)
      const nobodys = place - headerEnd
      // A ring must never hold the canary.
      const isNobodys = nobodys >= 0 && nobodys < this.shadow.length
      this.bytes[place] = byte === canary && !isNobodys ? 0 : byte
      if (isNobodys) this.shadow[nobodys] = byte
    })
  }

  private produce(count: number): void {
    const [cons, prod] = this.role === "server" ? (["rightCons", "rightProd"] as const) : (["leftCons", "leftProd"] as const)
    const ring = this.rings.written
    const from = this.get(prod)
    const space = ring.length - ((from - this.get(cons)) >>> 0)
    const length = Math.min(count, Math.max(0, space))
    for (let index = 0; index < length; index++) {
      const at = (from + index) % ring.length
      ring[at] = at % canary
    }
    this.set(prod, from + length)
    this.port.notifyUnsafe()
  }

  private consume(count: number): void {
    const [cons, prod] = this.role === "server" ? (["leftCons", "leftProd"] as const) : (["rightCons", "rightProd"] as const)
    const from = this.get(cons)
    this.set(cons, from + Math.min(count, (this.get(prod) - from) >>> 0))
    this.port.notifyUnsafe()
  }

  private touch(at: number): void {
    const places = (at >= fields.leftOrder[0] && at < fields.clientLive[0]) || (at >= fields.firstGrant[0] && at < headerEnd)
    if (this.role === "server" && places) this.isElsewhere = true
  }

  private get(name: FieldName): number {
    const [at, bytes] = fields[name]
    return bytes === 4 ? this.view.getUint32(at, true) : bytes === 2 ? this.view.getUint16(at, true) : this.view.getUint8(at)
  }

  private set(name: FieldName, value: number): void {
    const [at, bytes] = fields[name]
    this.touch(at)
    if (bytes === 4) this.view.setUint32(at, value, true)
    else if (bytes === 2) this.view.setUint16(at, value, true)
    else this.view.setUint8(at, value)
  }
}
