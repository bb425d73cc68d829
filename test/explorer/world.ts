/**
 * A shared page with two small rings, as both sides of an exploration find it: filled in by the product, before anybody looks.
 *
 * The rings have pages of their own, of as few bytes as it takes to fill them and to go round.
 */
import { SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import { shareBuffer } from "./access.ts"

/** Where in the explorer's addresses each buffer begins. */
const base = { page: 0, left: 0x10000, right: 0x20000 } as const

const headerNames = new Map([
  [0, "left.cons"],
  [4, "left.prod"],
  [8, "right.cons"],
  [12, "right.prod"],
  [20, "cli_live"],
  [21, "srv_live"],
  [22, "cli_notify"],
  [23, "srv_notify"]
])

export interface World {
  readonly page: ArrayBuffer
  readonly left: ArrayBuffer
  readonly right: ArrayBuffer
  readonly contentAt: (address: number) => number
  readonly nameOf: (address: number) => string
}

/** Rings of the given orders, whose four indexes begin at `start`. */
export const world = (options: {
  readonly left: number
  readonly right: number
  readonly start?: number
  /** Whether the client is there already. */
  readonly connected?: boolean
}): World => {
  const { connected = true, left, right, start = 0 } = options
  const page = new ArrayBuffer(4096)
  const view = new DataView(page)
  const shared = new SharedPage(page)
  shared.initialise({ left, right }, [])
  for (const at of [0, 4, 8, 12]) view.setUint32(at, start, true)
  if (connected) {
    shared.setLive("client", 1)
    shared.greet("client")
  }
  return {
    page: shareBuffer(page, base.page),
    left: shareBuffer(new ArrayBuffer(2 ** left), base.left),
    right: shareBuffer(new ArrayBuffer(2 ** right), base.right),
    contentAt: (address) => address >= page.byteLength ? 0 : address < 16 ? view.getInt32(address, true) : view.getUint8(address),
    nameOf: (address) =>
      headerNames.get(address) ??
        (address >= base.right
          ? `right[${address - base.right}]`
          : address >= base.left
          ? `left[${address - base.left}]`
          : `page[${address}]`)
  }
}
