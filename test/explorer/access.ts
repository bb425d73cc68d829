/**
 * One side's run: its program, stopped before each access to what both sides share.
 *
 * A program is a synchronous function, and all that it does follows from what its accesses return. So a run needs no thread: it is given
 * what its first accesses return, and ends with an exception at the first one for which nothing is given.
 *
 * To load this module patches `Buffer.prototype.copy`, which the product captures when it loads; it must be imported before the product.
 * The other patches are in place during a run only. Memory that was not made by `shareBuffer` is accessed as ever.
 */
import { Buffer } from "node:buffer"

/** `plain` promises no order; `atomic` is what `Atomics` makes of it. */
type Order = "plain" | "atomic"

/** What a program can do that the other side can see, or that depends on it. */
export type Access =
  | { readonly kind: "load"; readonly at: number; readonly order: Order }
  | { readonly kind: "store"; readonly at: number; readonly value: number; readonly order: Order }
  /** An atomic read-modify-write; returns the old value. */
  | { readonly kind: "update"; readonly at: number; readonly operation: Operation; readonly operand: number; readonly expected: number }
  /** Rings the other side. */
  | { readonly kind: "notify" }
  /** Binds the own port, which starts with one event pending. */
  | { readonly kind: "bind" }
  /** Sleeps until rung. Without an event it is stuck; that is well where there is nothing left to do. */
  | { readonly kind: "wait"; readonly done: boolean; readonly otherwise: boolean }
  /** Something outside the protocol decides: the application, or a clock. */
  | { readonly kind: "choose"; readonly among: number }
  | { readonly kind: "end"; readonly result: number }
  | { readonly kind: "failure"; readonly error: unknown }

export type Operation = "or" | "and" | "exchange" | "compareExchange"

/** What an update leaves. */
export const updated = (operation: Operation, old: number, operand: number, expected: number): number => {
  switch (operation) {
    case "or":
      return old | operand
    case "and":
      return old & operand
    case "exchange":
      return operand
    case "compareExchange":
      return old === expected ? operand : old
  }
}

/** What a program may do beside touching memory. */
export interface Environment {
  /** Says that `state` describes all that the rest of the program depends on: runs with the same one go on alike. */
  readonly mark: (state: string) => void
  readonly notify: () => void
  readonly bind: () => void
  /** False where it was not an event that ended the wait, but the application's will to do something, if it has one. */
  readonly wait: (options: { readonly done: boolean; readonly otherwise?: boolean }) => boolean
  /** One of 0 to `among` - 1. */
  readonly choose: (among: number) => number
  /** What the program puts off until it has returned, as promises do: `drain` runs it. */
  readonly drain: () => void
  /** The kernel clears a byte of memory that the side has mapped. */
  readonly clear: (buffer: ArrayBuffer, at: number) => void
}

/** What one side does; returns something to judge the end by. */
export type Program = (environment: Environment) => number

/** Where a run stopped, and the last state it had marked. */
export interface Stop {
  readonly access: Access
  readonly mark: string
  /** How many accesses came before the mark. */
  readonly markedAt: number
}

class Stopped extends Error {}

let running: Run | undefined

class Run implements Environment {
  readonly tasks: Array<() => void> = []
  readonly inputs: ReadonlyArray<number>
  stop: Stop | undefined
  private at = 0
  private marked = ""
  private markedAt = 0

  constructor(inputs: ReadonlyArray<number>) {
    this.inputs = inputs
  }

  access(access: Access): number {
    const input = this.stop === undefined ? this.inputs[this.at] : undefined
    if (input !== undefined) {
      this.at++
      return input
    }
    this.stop ??= { access, mark: this.marked, markedAt: this.markedAt }
    throw new Stopped()
  }

  readonly mark = (state: string): void => {
    // What was stopped within a fiber may have gone on to here.
    if (this.stop !== undefined) throw new Stopped()
    this.marked = state
    this.markedAt = this.at
  }

  readonly notify = (): void => void this.access({ kind: "notify" })

  readonly bind = (): void => void this.access({ kind: "bind" })

  readonly wait = ({ done, otherwise = false }: { readonly done: boolean; readonly otherwise?: boolean }): boolean =>
    this.access({ kind: "wait", done, otherwise }) === 1

  readonly choose = (among: number): number => this.access({ kind: "choose", among })

  readonly drain = (): void => {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task()
  }

  readonly clear = (buffer: ArrayBuffer, at: number): void => {
    this.access({ kind: "store", at: (buffers.get(buffer) ?? 0) + at, value: 0, order: "atomic" })
  }
}

/** Runs a program until the first access for which there is no input. */
export const run = (program: Program, inputs: ReadonlyArray<number>): Stop => {
  const run = new Run(inputs)
  const restore = patch(run)
  running = run
  try {
    const result = program(run)
    run.access({ kind: "end", result })
  } catch (error) {
    if (run.stop === undefined) {
      try {
        run.access({ kind: "failure", error })
      } catch {
        // Stopped, as it is to be.
      }
    }
  } finally {
    running = undefined
    restore()
  }
  if (run.stop === undefined) throw new Error("a run did not stop")
  return run.stop
}

/** Where a buffer that both sides share lies, in a space of addresses of this module's own. */
const buffers = new WeakMap<object, number>()

type Elements = Uint8Array | Int32Array

/** Arrays over those, with the address and the width of their elements. */
const views = new WeakMap<object, { readonly base: number; readonly width: number }>()

/** From now on what programs do with the buffer is seen. Its content is what memory holds at first, and does not change. */
export const shareBuffer = (buffer: ArrayBuffer, base: number): ArrayBuffer => {
  buffers.set(buffer, base)
  return buffer
}

/** Whether an array lies over a shared buffer. */
export const isShared = (array: object): boolean => views.has(array)

const isIndex = (property: string | symbol): property is string => typeof property === "string" && /^\d+$/.test(property)

const elements: ProxyHandler<Elements> = {
  get: (target, property) => {
    if (property === "set") return setElements
    if (!isIndex(property)) return Reflect.get(target, property, target)
    const at = Number(property)
    return at < target.length ? load(addressOf(target, at), "plain") : undefined
  },
  set: (target, property, value) => {
    const at = Number(property)
    if (!isIndex(property) || at >= target.length) throw new Error(`${String(property)} is set in shared memory`)
    store(addressOf(target, at), asElement(target, Number(value)), "plain")
    return true
  }
}

/** Element by element in rising order, each a step of its own. */
const setElements = function(this: Elements, source: ArrayLike<number>, offset = 0): void {
  for (let at = 0; at < source.length; at++) this[offset + at] = source[at] ?? 0
}

const addressOf = (array: object, at: number): number => {
  const view = views.get(array)
  if (view === undefined) throw new Error("shared memory is looked at in an unknown way")
  return view.base + at * view.width
}

const asElement = (array: object, value: number): number => views.get(array)?.width === 4 ? value | 0 : value & 0xFF

const load = (at: number, order: Order): number => running === undefined ? outside() : running.access({ kind: "load", at, order })

const store = (at: number, value: number, order: Order): void => {
  if (running === undefined) return outside()
  running.access({ kind: "store", at, value, order })
}

const outside = (): never => {
  throw new Error("shared memory is accessed outside a run")
}

const watched = (array: Elements): Elements => {
  const base = buffers.get(array.buffer)
  if (base === undefined) return array
  const proxy = new Proxy(array, elements)
  const view = { base: base + array.byteOffset, width: array.BYTES_PER_ELEMENT }
  views.set(array, view)
  views.set(proxy, view)
  return proxy
}

const originals = {
  load: Atomics.load,
  store: Atomics.store,
  or: Atomics.or,
  and: Atomics.and,
  exchange: Atomics.exchange,
  compareExchange: Atomics.compareExchange
}

const update = (operation: Operation, array: Elements, at: number, operand: number, expected = 0): number => {
  const access: Access = { kind: "update", at: addressOf(array, at), operation, operand: asElement(array, operand), expected }
  return running === undefined ? outside() : running.access(access)
}

const patchedAtomics = {
  load: (array: Elements, at: number) => views.has(array) ? load(addressOf(array, at), "atomic") : originals.load(array, at),
  store: (array: Elements, at: number, value: number) => {
    if (!views.has(array)) return originals.store(array, at, value)
    store(addressOf(array, at), asElement(array, value), "atomic")
    return value
  },
  or: (array: Elements, at: number, value: number) => views.has(array) ? update("or", array, at, value) : originals.or(array, at, value),
  and: (array: Elements, at: number, value: number) => views.has(array) ? update("and", array, at, value) : originals.and(array, at, value),
  exchange: (array: Elements, at: number, value: number) =>
    views.has(array) ? update("exchange", array, at, value) : originals.exchange(array, at, value),
  compareExchange: (array: Elements, at: number, expected: number, value: number) =>
    views.has(array)
      ? update("compareExchange", array, at, value, asElement(array, expected))
      : originals.compareExchange(array, at, expected, value)
}

const OriginalUint8Array = Uint8Array
const OriginalInt32Array = Int32Array
const originalQueueMicrotask = queueMicrotask

const patchedUint8Array = new Proxy(OriginalUint8Array, {
  construct: (target, args, newTarget) => watched(Reflect.construct(target, args, newTarget))
})
const patchedInt32Array = new Proxy(OriginalInt32Array, {
  construct: (target, args, newTarget) => watched(Reflect.construct(target, args, newTarget))
})

/** Puts the patches in place, and returns how to take them back. */
const patch = (run: Run): () => void => {
  Object.assign(Atomics, patchedAtomics)
  Object.assign(globalThis, {
    Uint8Array: patchedUint8Array,
    Int32Array: patchedInt32Array,
    queueMicrotask: (task: () => void) => void run.tasks.push(task)
  })
  return () => {
    Object.assign(Atomics, originals)
    Object.assign(globalThis, {
      Uint8Array: OriginalUint8Array,
      Int32Array: OriginalInt32Array,
      queueMicrotask: originalQueueMicrotask
    })
  }
}

const originalCopy = Buffer.prototype.copy

/** Byte by byte in rising order, each a step of its own. */
const patchedCopy = function(this: Uint8Array, target: Uint8Array, targetStart = 0, start = 0, end = this.length): number {
  if (!views.has(this) && !views.has(target)) return originalCopy.call(this, target, targetStart, start, end)
  const count = Math.min(end - start, target.length - targetStart)
  for (let at = 0; at < count; at++) target[targetStart + at] = this[start + at] ?? 0
  return count
}

Buffer.prototype.copy = patchedCopy
