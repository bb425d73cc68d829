import { assert, describe, it } from "@effect/vitest"
import { type Program, shareBuffer } from "./access.ts"
import { explore } from "./explore.ts"
import type { Strength } from "./Memory.ts"

const buffer = shareBuffer(new ArrayBuffer(2), 0)

/** A side that touches the places x and y of fresh memory; its result is what it has loaded, as a decimal number. */
const side = (steps: (memory: Memory) => number): Program => () => {
  const bytes = new Uint8Array(buffer)
  return steps({
    load: (at) => bytes[at] ?? 0,
    store: (at) => {
      bytes[at] = 1
    },
    atomicLoad: (at) => Atomics.load(bytes, at),
    atomicStore: (at) => void Atomics.store(bytes, at, 1),
    atomicOr: (at) => void Atomics.or(bytes, at, 1)
  })
}

interface Memory {
  readonly load: (at: number) => number
  readonly store: (at: number) => void
  readonly atomicLoad: (at: number) => number
  readonly atomicStore: (at: number) => void
  readonly atomicOr: (at: number) => void
}

const x = 0
const y = 1

/** Whether both sides may load what is named, on each machine. */
const allows =
  (first: (memory: Memory) => number, second: (memory: Memory) => number, loaded: readonly [number, number]) => (strength: Strength) => {
    let seen = false
    explore({
      strength,
      programs: [side(first), side(second)],
      contentAt: () => 0,
      nameOf: String,
      judge: (results) => {
        seen ||= results[0] === loaded[0] && results[1] === loaded[1]
        return undefined
      }
    })
    return seen
  }

describe("memory, as the machines' manuals have it", () => {
  const stored = (memory: Memory): number => {
    memory.store(x)
    memory.store(y)
    return 0
  }
  const published = (memory: Memory): number => {
    memory.store(x)
    memory.atomicStore(y)
    return 0
  }
  const both = (memory: Memory): number => memory.load(y) * 10 + memory.load(x)
  const ordered = (memory: Memory): number => memory.atomicLoad(y) * 10 + memory.load(x)
  const cases: ReadonlyArray<readonly [string, (strength: Strength) => boolean, { readonly x86: boolean; readonly arm: boolean }]> = [
    [
      "plain stores are late for the other side's loads",
      allows((memory) => (memory.store(x), memory.load(y)), (memory) => (memory.store(y), memory.load(x)), [0, 0]),
      { x86: true, arm: true }
    ],
    [
      "an atomic store is not late for an atomic load",
      allows((memory) => (memory.atomicStore(x), memory.atomicLoad(y)), (memory) => (memory.atomicStore(y), memory.atomicLoad(x)), [0, 0]),
      { x86: false, arm: false }
    ],
    [
      "an atomic store may be late for a plain load",
      allows((memory) => (memory.atomicStore(x), memory.load(y)), (memory) => (memory.atomicStore(y), memory.load(x)), [0, 0]),
      { x86: false, arm: true }
    ],
    [
      "an update is not late for an atomic load",
      allows((memory) => (memory.atomicOr(x), memory.atomicLoad(y)), (memory) => (memory.atomicOr(y), memory.atomicLoad(x)), [0, 0]),
      { x86: false, arm: false }
    ],
    ["plain stores arrive out of order", allows(stored, ordered, [0, 10]), { x86: false, arm: true }],
    ["an atomic store arrives after what was stored before it", allows(published, ordered, [0, 10]), { x86: false, arm: false }],
    ["plain loads are made out of order", allows(published, both, [0, 10]), { x86: false, arm: true }],
    [
      "loads of one place are not",
      allows(stored, (memory) => memory.load(y) * 10 + memory.load(y), [0, 10]),
      { x86: false, arm: false }
    ],
    [
      "an atomic load may come before a plain load that precedes it",
      allows(published, (memory) => memory.load(y) * 10 + memory.atomicLoad(x), [0, 10]),
      { x86: false, arm: true }
    ],
    ["a side sees its own stores", allows((memory) => (memory.store(x), memory.load(x)), () => 0, [0, 0]), { x86: false, arm: false }]
  ]
  for (const [name, seen, { arm, x86 }] of cases) {
    it(name, () => assert.deepStrictEqual([seen("sequential"), seen("x86"), seen("arm")], [false, x86, arm]))
  }
})
