/**
 * The calls that a client has in flight, by their ids. Belongs to its engine.
 *
 * An id's low bits are its call's place, and a new id is the next whose place is free. A Map would do the same, but with many calls a second it
 * makes a new table every few of them, and links each to the next: one that grows old keeps all later ones, with the calls in them, from the
 * collection of young garbage.
 */
import { type ClientCall, newCall } from "./ClientCall.ts"

/** A power of two. */
const firstLength = 64

const nobody = () => {}

const places = (length: number): Array<ClientCall | undefined> => Array.from({ length })

export class PendingCalls implements Iterable<ClientCall> {
  size = 0
  /** How many of them nobody waits for. */
  unwanted = 0
  private places: Array<ClientCall | undefined>
  private nextId: number

  /** `firstId` is that of the first call. */
  constructor(firstId = 1) {
    this.places = places(firstLength)
    this.nextId = firstId
  }

  get(id: number): ClientCall | undefined {
    const found = this.places[id & (this.places.length - 1)]
    return found?.id === id ? found : undefined
  }

  /** Gives the call an id, and puts it in flight. */
  add(call: ClientCall): void {
    if (this.size * 2 >= this.places.length) this.grow()
    const mask = this.places.length - 1
    let id = this.nextId
    while (this.places[id & mask] !== undefined) id = (id + 1) >>> 0
    this.nextId = (id + 1) >>> 0
    call.id = id
    this.places[id & mask] = call
    this.size++
  }

  /** Nobody waits for the call any more: what stands for it until it is over is small, and holds nothing of the caller's. */
  giveUp(call: ClientCall): void {
    if (this.get(call.id) !== call || !call.isWanted) return
    const { end, id, length, method } = call
    this.places[id & (this.places.length - 1)] = { ...newCall(method, end, nobody, undefined), id, length, isWanted: false }
    this.unwanted++
  }

  /** The call is over: its id is free. */
  delete(call: ClientCall): void {
    if (this.get(call.id) !== call) return
    this.places[call.id & (this.places.length - 1)] = undefined
    this.size--
    if (!call.isWanted) this.unwanted--
  }

  clear(): void {
    this.places.fill(undefined)
    this.size = 0
    this.unwanted = 0
  }

  *[Symbol.iterator](): Iterator<ClientCall> {
    for (const call of this.places) if (call !== undefined) yield call
  }

  /** Places that were apart stay so. */
  private grow(): void {
    const calls = [...this]
    this.places = places(this.places.length * 2)
    for (const call of calls) this.places[call.id & (this.places.length - 1)] = call
  }
}
