/**
 * Where the two rings lie, and how large they are.
 *
 * Pure. A ring of order N holds 2^N bytes. Orders 10 and 11 lie inside the shared page; 12 to 20 have pages of their own.
 * Left is the ring that the client writes and the server reads; right is the other. (tools/libs/vchan/init.c in Xen's sources.)
 */
import { pageSize } from "@vchan/xen"

/** The sizes of both rings, as powers of two. */
export interface Orders {
  readonly left: number
  readonly right: number
}

/** The ring size asked for where none is named: 256 KiB each way. */
export const defaultRing = 256 * 1024

/** The largest ring: 1 MiB. */
export const maxRing = 1 << 20

const smallOrder = 10
const largeOrder = 11
const pageOrder = 12
const maxOrder = 20

/** A ring's size in bytes. */
export const ringSize = (order: number): number => 2 ** order

/** How many pages of its own a ring has; 0 where it lies in the shared page. */
export const ringPages = (order: number): number => order < pageOrder ? 0 : ringSize(order) / pageSize

/** Where in the shared page a ring without pages of its own begins: the ring's size happens to be its offset. */
export const ringOffset = (order: number): number => ringSize(order)

const orderFor = (least: number): number => {
  let order = pageOrder
  while (ringSize(order) < least) order++
  return order
}

const isRingSize = (bytes: number): boolean => Number.isInteger(bytes) && bytes >= 0 && bytes <= maxRing

/**
 * The orders that a server chooses for rings of at least `leftMin` and `rightMin` bytes, exactly as libxenvchan does; undefined where one
 * is over 1 MiB or no size at all.
 */
export const chooseOrders = (leftMin: number, rightMin: number): Orders | undefined => {
  if (!isRingSize(leftMin) || !isRingSize(rightMin)) return undefined
  const small = ringSize(smallOrder)
  const large = ringSize(largeOrder)
  if (leftMin <= small && rightMin <= large) return { left: smallOrder, right: largeOrder }
  if (leftMin <= large && rightMin <= small) return { left: largeOrder, right: smallOrder }
  if (leftMin <= large) return { left: largeOrder, right: orderFor(rightMin) }
  if (rightMin <= large) return { left: orderFor(leftMin), right: largeOrder }
  return { left: orderFor(leftMin), right: orderFor(rightMin) }
}

const inRange = (order: number): boolean => Number.isInteger(order) && order >= smallOrder && order <= maxOrder

/** What is wrong with orders that a peer offers; undefined where nothing is. */
export const ordersFault = ({ left, right }: Orders): string | undefined => {
  if (!inRange(left)) return `left ring of order ${left}, where ${smallOrder} to ${maxOrder} are allowed`
  if (!inRange(right)) return `right ring of order ${right}, where ${smallOrder} to ${maxOrder} are allowed`
  if (left === right && left < pageOrder) return `both rings of order ${left} would lie in the same place`
  // The list of grants grows from the page's start and would run over a ring at offset 1024.
  if (Math.min(left, right) === smallOrder && Math.max(left, right) >= pageOrder) {
    return `orders ${left} and ${right} put the ring of order ${smallOrder} over the list of grants`
  }
  return undefined
}
