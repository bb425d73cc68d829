/**
 * Walks all that two sides can do together: every order of their steps, and of their stores' arrival in memory.
 *
 * Breadth first, so the way to a failure is a shortest one. A state is memory and the place of each side in its program. Wrong is
 *
 * - a program that throws: it checks what it reads;
 * - a state in which nothing can happen any more, and a side sleeps that has something left to do: a lost wake-up;
 * - a state from which no end can be reached: both go round in circles;
 * - an end with which `judge` is not content.
 */
import type { Access, Program } from "./access.ts"
import { describeAccess, Memory, type MemoryState, type Strength } from "./Memory.ts"
import { Side } from "./Side.ts"

export interface Exploration {
  readonly strength: Strength
  readonly programs: readonly [Program, Program]
  /** What memory holds at first. */
  readonly contentAt: (address: number) => number
  /** Names an address, for people. */
  readonly nameOf: (address: number) => string
  /** Which sides begin with an event pending. */
  readonly rung?: readonly [boolean, boolean]
  /** Sides that may be killed at any time, and what the kernel then does in their place. */
  readonly mortal?: readonly [Program | undefined, Program | undefined]
  /** What is wrong with an end, given each program's result, undefined for one that sleeps, and what memory holds. */
  readonly judge?: (results: readonly [number | undefined, number | undefined], read: (address: number) => number) => string | undefined
  /** So many states are visited at most. */
  readonly limit?: number
}

export interface Found {
  readonly states: number
  /** The states in which nothing more happens. */
  readonly ends: number
  readonly nodes: readonly [number, number]
  /** Whether all states were visited. */
  readonly complete: boolean
  readonly failure: { readonly what: string; readonly way: ReadonlyArray<string> } | undefined
}

type Visit = (memory: MemoryState, places: readonly [number, number], step: () => string) => void

/** Places are counted in so many bits of a state's number. */
const placeBits = 14
const places = 2 ** placeBits

class Explorer {
  private readonly options: Exploration
  private readonly memory: Memory
  private readonly sides = [new Side(), new Side()] as const
  private readonly afterlives: readonly [number | undefined, number | undefined]
  private readonly first: readonly [number, number]
  private readonly memories: Array<MemoryState> = []
  private readonly left: Array<number> = []
  private readonly right: Array<number> = []
  private readonly parents: Array<number> = []
  private readonly known = new Map<number, number>()

  constructor(options: Exploration) {
    this.options = options
    this.memory = new Memory(options.strength, options.contentAt)
    const [left, right] = options.mortal ?? []
    this.first = [this.sides[0].start(options.programs[0]), this.sides[1].start(options.programs[1])]
    this.afterlives = [
      left === undefined ? undefined : this.sides[0].start(left),
      right === undefined ? undefined : this.sides[1].start(right)
    ]
  }

  run(): Found {
    const { limit = 10_000_000, rung = [false, false] } = this.options
    const from: Array<number> = []
    const to: Array<number> = []
    const ends: Array<number> = []
    this.reach(this.memory.start(rung), this.first, -1)
    for (let state = 0; state < this.memories.length; state++) {
      const what = this.failureOf(state)
      if (what !== undefined) return this.found(ends.length, true, { what, way: this.wayTo(state) })
      if (this.memories.length > limit) return this.found(ends.length, false, undefined)
      let steps = 0
      this.steps(state, (memory, places) => {
        steps++
        from.push(state)
        to.push(this.reach(memory, places, state))
      })
      if (steps > 0) continue
      ends.push(state)
      const wrong = this.wrongEnd(state)
      if (wrong !== undefined) return this.found(ends.length, true, { what: wrong, way: this.wayTo(state) })
    }
    const lost = this.lost(from, to, ends)
    const failure = lost === undefined ? undefined : { what: "both sides go on for ever", way: this.wayTo(lost) }
    return this.found(ends.length, true, failure)
  }

  private found(ends: number, complete: boolean, failure: Found["failure"]): Found {
    return { states: this.memories.length, ends, nodes: [this.sides[0].nodes.length, this.sides[1].nodes.length], complete, failure }
  }

  private reach(memory: MemoryState, [left, right]: readonly [number, number], parent: number): number {
    if (left >= places || right >= places) throw new Error("a program has too many places")
    const settled = this.memory.settle(this.memory.settle(memory, 0, this.access(0, left)), 1, this.access(1, right))
    const key = (settled.id * places + left) * places + right
    const known = this.known.get(key)
    if (known !== undefined) return known
    const state = this.memories.push(settled) - 1
    this.left.push(left)
    this.right.push(right)
    this.parents.push(parent)
    this.known.set(key, state)
    return state
  }

  private access(side: 0 | 1, place: number): Access {
    return this.sides[side].node(place).access
  }

  private placesOf(state: number): readonly [number, number] {
    return [this.left[state] ?? 0, this.right[state] ?? 0]
  }

  private memoryOf(state: number): MemoryState {
    const memory = this.memories[state]
    if (memory === undefined) throw new Error(`there is no state ${state}`)
    return memory
  }

  /** All that can happen next. */
  private steps(state: number, visit: Visit): void {
    const memory = this.memoryOf(state)
    const places = this.placesOf(state)
    for (const side of [0, 1] as const) {
      const at = places[side]
      const access = this.access(side, at)
      const moved = (place: number): readonly [number, number] => side === 0 ? [place, places[1]] : [places[0], place]
      this.memory.access(
        memory,
        side,
        access,
        (memory, input) =>
          visit(
            memory,
            moved(this.sides[side].after(at, input)),
            () => `${nameOf(side)} ${describeAccess(access, input, this.options.nameOf)}`
          )
      )
      this.memory.commits(memory, side, (memory, index) => visit(memory, places, () => `${nameOf(side)}'s waiting store ${index} arrives`))
      const afterlife = this.afterlives[side]
      if (afterlife !== undefined && this.sides[side].isIn(at, this.first[side]) && access.kind !== "end") {
        visit(memory, moved(afterlife), () => `${nameOf(side)} is killed`)
      }
    }
  }

  private failureOf(state: number): string | undefined {
    const places = this.placesOf(state)
    for (const side of [0, 1] as const) {
      const access = this.access(side, places[side])
      if (access.kind === "failure") {
        return `${nameOf(side)}: ${access.error instanceof Error ? access.error.message : String(access.error)}`
      }
    }
    return undefined
  }

  private wrongEnd(state: number): string | undefined {
    const memory = this.memoryOf(state)
    const places = this.placesOf(state)
    const result = (side: 0 | 1): number | undefined => {
      const access = this.access(side, places[side])
      return access.kind === "end" ? access.result : undefined
    }
    for (const side of [0, 1] as const) {
      const access = this.access(side, places[side])
      if (access.kind === "wait" && access.done) continue
      if (access.kind !== "end") return `${nameOf(side)} sleeps for ever: a lost wake-up`
    }
    return this.options.judge?.([result(0), result(1)], (address) => this.memory.read(memory, address))
  }

  /** A state from which no end can be reached. */
  private lost(from: ReadonlyArray<number>, to: ReadonlyArray<number>, ends: ReadonlyArray<number>): number | undefined {
    // The edges by where they lead to: those to state s are at starts[s] to starts[s + 1].
    const starts = new Uint32Array(this.memories.length + 2)
    for (const state of to) starts[state + 2] = (starts[state + 2] ?? 0) + 1
    for (let at = 2; at < starts.length; at++) starts[at] = (starts[at] ?? 0) + (starts[at - 1] ?? 0)
    const sources = new Uint32Array(to.length)
    to.forEach((state, edge) => {
      const at = starts[state + 1] ?? 0
      sources[at] = from[edge] ?? 0
      starts[state + 1] = at + 1
    })
    const ending = new Uint8Array(this.memories.length)
    const todo = [...ends]
    for (const state of ends) ending[state] = 1
    for (let state = todo.pop(); state !== undefined; state = todo.pop()) {
      for (let at = starts[state] ?? 0; at < (starts[state + 1] ?? 0); at++) {
        const source = sources[at] ?? 0
        if (ending[source] === 1) continue
        ending[source] = 1
        todo.push(source)
      }
    }
    const lost = ending.indexOf(0)
    return lost < 0 ? undefined : lost
  }

  /** How a state came about, in words. */
  private wayTo(state: number): ReadonlyArray<string> {
    const way: Array<string> = []
    for (let at = state; (this.parents[at] ?? -1) >= 0; at = this.parents[at] ?? -1) {
      const parent = this.parents[at] ?? -1
      let step = ""
      this.steps(parent, (memory, places, words) => {
        if (step === "" && this.reach(memory, places, parent) === at) step = words()
      })
      way.unshift(step)
    }
    return way
  }
}

const nameOf = (side: 0 | 1): string => side === 0 ? "the first" : "the second"

/** Visits all that the two programs can do. */
export const explore = (options: Exploration): Found => new Explorer(options).run()
