/**
 * Memory that two sides share, in three strengths.
 *
 * - `sequential`: each access takes effect at once.
 * - `x86`: a side's plain stores wait in a buffer, and reach memory in order. Its own loads see them, the other side does not. An
 *   `Atomics.store` (xchg) and an update (lock) need the buffer empty; loads do not.
 * - `arm`: stores wait, and reach memory in any order, but for those to the same place; an `Atomics.store` (stlr) does so only after all
 *   before it, though later plain stores may overtake it. An `Atomics.load` (ldar) waits for the side's `Atomics.store`s. A plain load may
 *   have happened at any time since the side's last `Atomics.load`, and an `Atomics.load` before plain loads that precede it. An update is
 *   one step, after all earlier stores, and does not keep later plain loads from having happened before it.
 *
 * What Arm may do and this does not: a plain store that overtakes an earlier load. All of the product's follow from a load that decides
 * whether they happen at all, or come after an `Atomics.load`.
 *
 * States are immutable and made once: the same content is the same object. So are their parts, which many states have in common.
 */
import { type Access, updated } from "./access.ts"

export type Strength = "sequential" | "x86" | "arm"

/** A store that has not reached memory yet. */
interface Pending {
  readonly slot: number
  readonly value: number
  /** All earlier ones go first. */
  readonly release: boolean
}

/** A value that memory does not hold any more, though a load may still return it. */
interface Stale {
  readonly slot: number
  readonly value: number
  /** A later one was loaded since: this one only tells when the place changed. */
  readonly passed: boolean
}

/** What one side sees that the other does not. */
interface Half {
  readonly rung: boolean
  /** In program order. */
  readonly pending: ReadonlyArray<Pending>
  /** Since the side's last acquiring load, oldest first. */
  readonly stale: ReadonlyArray<Stale>
  /** Since then the side has made plain loads; or has published something, after which an acquiring load cannot be early. */
  readonly loaded: boolean
  readonly published: boolean
}

interface Known<A> {
  readonly id: number
  readonly content: A
}

export interface MemoryState {
  readonly id: number
  readonly values: Known<ReadonlyArray<number>>
  readonly halves: readonly [Known<Half>, Known<Half>]
}

/** Parts are counted in so many bits of a state's number. */
const halfBits = 16

const otherOf = (side: number): number => 1 - side

const fresh: Half = { rung: false, pending: [], stale: [], loaded: false, published: false }

const acquired = (half: Half): Half => ({ ...half, stale: [], loaded: false, published: false })

/** What one access may lead to. */
export type Visit = (memory: MemoryState, input: number) => void

export class Memory {
  private readonly strength: Strength
  private readonly contentAt: (address: number) => number
  private readonly slots = new Map<number, number>()
  private readonly initial: Array<number> = []
  private readonly knownValues = new Map<string, Known<ReadonlyArray<number>>>()
  private readonly knownHalves = new Map<string, Known<Half>>()
  private readonly known = new Map<number, MemoryState>()

  /** `contentAt` tells what memory holds at first. */
  constructor(strength: Strength, contentAt: (address: number) => number) {
    this.strength = strength
    this.contentAt = contentAt
  }

  start(rung: readonly [boolean, boolean]): MemoryState {
    return this.state(this.valuesOf([]), this.halfOf({ ...fresh, rung: rung[0] }), this.halfOf({ ...fresh, rung: rung[1] }))
  }

  /** What memory holds once all stores have reached it. */
  read(memory: MemoryState, address: number): number {
    const slot = this.slot(address)
    return memory.values.content[slot] ?? this.initial[slot] ?? 0
  }

  /** All that the access may do now; nothing where it has to wait. */
  access(memory: MemoryState, side: number, access: Access, visit: Visit): void {
    const own = half(memory, side)
    const empty = own.pending.length === 0
    switch (access.kind) {
      case "load":
        return this.load(memory, side, this.slot(access.at), access.order === "atomic", visit)
      case "store": {
        const slot = this.slot(access.at)
        const release = access.order === "atomic"
        if (this.strength === "sequential" || (this.strength === "x86" && release)) {
          if (empty) visit(this.commit(memory, side, { slot, value: access.value, release }, []), 0)
          return
        }
        return visit(this.put(memory, side, { ...own, pending: [...own.pending, { slot, value: access.value, release }] }), 0)
      }
      case "update": {
        if (!empty) return
        const slot = this.slot(access.at)
        const old = this.value(memory, slot)
        const value = updated(access.operation, old, access.operand, access.expected)
        return visit(this.commit(memory, side, { slot, value, release: true }, []), old)
      }
      case "notify": {
        // Both ways to ring, a system call and a shared port table, come after what the side has stored.
        if (!empty) return
        const other = otherOf(side)
        return visit(this.put(memory, other, { ...half(memory, other), rung: true }), 0)
      }
      case "bind":
        if (empty) visit(this.put(memory, side, acquired({ ...own, rung: true })), 0)
        return
      case "wait":
        if (own.rung && empty) visit(this.put(memory, side, acquired({ ...own, rung: false })), 1)
        if (access.otherwise) visit(memory, 0)
        return
      case "choose":
        for (let choice = 0; choice < access.among; choice++) visit(memory, choice)
        return
      case "end":
      case "failure":
        return
    }
  }

  /** Each store of a side that may reach memory now, by its place among those that wait. */
  commits(memory: MemoryState, side: number, visit: Visit): void {
    const { pending } = half(memory, side)
    const last = this.strength === "x86" ? Math.min(1, pending.length) : pending.length
    for (let at = 0; at < last; at++) {
      const store = pending[at]
      if (store === undefined || (store.release && at > 0)) continue
      if (pending.slice(0, at).some((earlier) => earlier.slot === store.slot)) continue
      visit(this.commit(memory, side, store, pending.toSpliced(at, 1)), at)
    }
  }

  /** Forgets what a side's next access cannot tell. */
  settle(memory: MemoryState, side: number, next: Access): MemoryState {
    const own = half(memory, side)
    if (own.stale.length === 0 && !own.loaded && !own.published) return memory
    const acquires = (next.kind === "load" && next.order === "atomic" && (!own.loaded || own.published)) || next.kind === "wait" ||
      next.kind === "end"
    return acquires ? this.put(memory, side, acquired(own)) : memory
  }

  private load(memory: MemoryState, side: number, slot: number, atomic: boolean, visit: Visit): void {
    const own = half(memory, side)
    const arm = this.strength === "arm"
    if (atomic && arm && own.pending.some(({ release }) => release)) return
    const stored = own.pending.findLast((store) => store.slot === slot)
    const value = stored?.value ?? this.value(memory, slot)
    if (!arm) return visit(memory, value)
    const early = !atomic || (own.loaded && !own.published)
    if (!early) return visit(this.put(memory, side, acquired(own)), value)
    // What an acquiring load found early, later loads may find early, too, but not earlier; a plain load says something of its place only.
    const from = (earliest: number): MemoryState => {
      if (atomic) return this.put(memory, side, { ...own, stale: own.stale.slice(earliest), loaded: true, published: false })
      const stale = own.stale.map((each, at) => each.slot === slot && at < earliest ? { ...each, passed: true } : each)
      return this.put(memory, side, { ...own, stale, loaded: true })
    }
    let earliest = 0
    if (stored === undefined) {
      own.stale.forEach((stale, at) => {
        if (stale.slot !== slot) return
        // A plain load of the same place may find the same again, but nothing older.
        if (!stale.passed) visit(from(atomic ? earliest : at), stale.value)
        earliest = at + 1
      })
    }
    visit(from(earliest), value)
  }

  private commit(memory: MemoryState, side: number, { release, slot, value }: Pending, pending: ReadonlyArray<Pending>): MemoryState {
    const own = half(memory, side)
    const other = half(memory, otherOf(side))
    const values = [...memory.values.content]
    for (let index = values.length; index < slot; index++) values.push(this.initial[index] ?? 0)
    values[slot] = value
    const old = this.value(memory, slot)
    const arm = this.strength === "arm"
    const mine: Half = {
      ...own,
      pending,
      stale: own.stale.filter((stale) => stale.slot !== slot),
      published: own.published || (release && arm)
    }
    const theirs: Half = arm && old !== value ? { ...other, stale: [...other.stale, { slot, value: old, passed: false }] } : other
    const known = [this.halfOf(mine), this.halfOf(theirs)] as const
    return side === 0 ? this.state(this.valuesOf(values), known[0], known[1]) : this.state(this.valuesOf(values), known[1], known[0])
  }

  private put(memory: MemoryState, side: number, changed: Half): MemoryState {
    const known = this.halfOf(changed)
    return side === 0 ? this.state(memory.values, known, memory.halves[1]) : this.state(memory.values, memory.halves[0], known)
  }

  private value(memory: MemoryState, slot: number): number {
    return memory.values.content[slot] ?? this.initial[slot] ?? 0
  }

  private slot(address: number): number {
    const known = this.slots.get(address)
    if (known !== undefined) return known
    const slot = this.initial.push(this.contentAt(address)) - 1
    this.slots.set(address, slot)
    return slot
  }

  private valuesOf(values: ReadonlyArray<number>): Known<ReadonlyArray<number>> {
    return intern(this.knownValues, values.join(), values)
  }

  private halfOf(half: Half): Known<Half> {
    return intern(this.knownHalves, text(half), half)
  }

  private state(values: MemoryState["values"], first: Known<Half>, second: Known<Half>): MemoryState {
    if (first.id >> halfBits > 0 || second.id >> halfBits > 0) throw new Error("there are too many states of memory")
    const key = (values.id * 2 ** halfBits + first.id) * 2 ** halfBits + second.id
    const known = this.known.get(key)
    if (known !== undefined) return known
    const state: MemoryState = { id: this.known.size, values, halves: [first, second] }
    this.known.set(key, state)
    return state
  }
}

const intern = <A>(known: Map<string, Known<A>>, key: string, content: A): Known<A> => {
  const before = known.get(key)
  if (before !== undefined) return before
  const made = { id: known.size, content }
  known.set(key, made)
  return made
}

const half = (memory: MemoryState, side: number): Half => memory.halves[side === 0 ? 0 : 1].content

const text = ({ loaded, pending, published, rung, stale }: Half): string => {
  let text = `${rung ? "r" : ""}${loaded ? "l" : ""}${published ? "p" : ""}`
  for (const { release, slot, value } of pending) text += `${release ? "!" : "+"}${slot}=${value}`
  for (const { passed, slot, value } of stale) text += `${passed ? "/" : "-"}${slot}=${value}`
  return text
}

/** An access in words, for the way to a failure. */
export const describeAccess = (access: Access, input: number, name: (address: number) => string): string => {
  switch (access.kind) {
    case "load":
      return `${access.order === "atomic" ? "loads" : "loads plainly"} ${name(access.at)}: ${input}`
    case "store":
      return `${access.order === "atomic" ? "stores" : "stores plainly"} ${name(access.at)} = ${access.value}`
    case "update":
      return `${access.operation}s ${name(access.at)} with ${access.operand}: was ${input}`
    case "wait":
      return input === 1 ? "is woken" : "has something to do"
    case "notify":
      return "rings"
    case "choose":
      return `chooses ${input}`
    case "bind":
      return "binds its port"
    case "end":
    case "failure":
      return access.kind
  }
}
