/**
 * The ring's own steps beside a peer that changes its index, and every byte, between any two of them: what each load returns is made up.
 *
 * An operation may look at the peer's index once, must decide by that look alone, and may touch nothing else than what it leaves free.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Access, type Program, run } from "./access.ts"
// After access.ts, which has to see what the product captures when it loads.
import { Consumer, Producer, type RingMemory } from "../../packages/vchan/src/Ring.ts"
import { SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import { bytesFrom } from "./ringSides.ts"
import { type World, world } from "./world.ts"

const order = 3
const size = 2 ** order
/** Where the indexes are, and the ring begins, in the explorer's addresses. */
const at = { cons: 0, prod: 4, ring: 0x10000 } as const

/** An index that the peer shows: near the own one, or anything. */
const shown = (start: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: -2 * size, max: 3 * size }).map((distance) => start + distance | 0) },
    { weight: 1, arbitrary: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }
  )

const plan = fc.integer({ min: 0, max: 2 ** 32 - 1 }).chain((start) =>
  fc.record({
    start: fc.constant(start),
    lengths: fc.array(fc.integer({ min: 0, max: 2 * size }), { minLength: 1, maxLength: 4 }),
    indexes: fc.array(shown(start), { minLength: 1, maxLength: 12 }),
    bytes: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 12 })
  })
)
type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

/** Does what a program does, with what the peer shows at each look; gives the accesses of each operation, and what each load returned. */
const play = (program: Program, { bytes, indexes }: Plan) => {
  const inputs: Array<number> = []
  const operations = new Map<string, Array<{ readonly access: Access; readonly value: number }>>()
  let looks = 0
  for (;;) {
    const { access, mark } = run(program, inputs)
    if (access.kind === "failure") throw access.error
    if (access.kind === "end") return { operations, result: access.result }
    const value = access.kind !== "load"
      ? 0
      : access.at < at.ring
      ? indexes[looks++ % indexes.length] ?? 0
      : bytes[inputs.length % bytes.length] ?? 0
    inputs.push(value)
    operations.set(mark, [...operations.get(mark) ?? [], { access, value }])
  }
}

const memoryOf = ({ left, page }: World, use: "read" | "write"): RingMemory =>
  new SharedPage(page).ring(use === "write" ? "client" : "server", use, order, left)

/** One end of the ring. */
interface End {
  /** The address of the own index. */
  readonly own: number
  /** How many bytes lie in the ring, where the peer's index is so. */
  readonly used: (peer: number, position: number) => number
  /** How many bytes may be moved then, at most. */
  readonly room: (used: number) => number
}

/** What an operation may do, given the one look that it had: nothing but this. */
const checkEach = (plan: Plan, program: Program, { own, room, used }: End) => {
  const { operations, result } = play(program, plan)
  let position = plan.start
  let halted = false
  plan.lengths.forEach((length, number) => {
    const accesses = operations.get(String(number)) ?? []
    const looks = accesses.filter(({ access }) => access.kind === "load" && access.at < at.ring)
    assert.isAtMost(looks.length, 1, "an operation looks once")
    const inside = used(looks[0]?.value ?? 0, position)
    halted ||= inside > size
    const count = halted ? 0 : Math.min(length, room(inside))
    const touched = accesses.filter(({ access }) => "at" in access && access.at >= at.ring)
    assert.deepStrictEqual(
      touched.map(({ access }) => "at" in access ? access.at - at.ring : -1),
      Array.from({ length: count }, (_, step) => (position + step) % size)
    )
    const published = accesses.filter(({ access }) => access.kind === "store" && access.at < at.ring).map(({ access }) => access)
    position = (position + count) >>> 0
    assert.deepStrictEqual(published, count === 0 ? [] : [{ kind: "store", at: own, value: position | 0, order: "atomic" }])
  })
  assert.strictEqual(result, position)
}

const checkWrites = (plan: Plan, make: (memory: RingMemory, start: number) => Producer) => {
  const shared = world({ left: order, right: 0, start: plan.start })
  const program: Program = ({ mark }) => {
    const producer = make(memoryOf(shared, "write"), plan.start)
    plan.lengths.forEach((length, number) => {
      mark(String(number))
      producer.write(bytesFrom(0, length), 0, length)
    })
    return producer.position
  }
  checkEach(plan, program, { own: at.prod, used: (cons, position) => (position - cons) >>> 0, room: (used) => size - used })
}

const checkReads = (plan: Plan) => {
  const shared = world({ left: order, right: 0, start: plan.start })
  const program: Program = ({ mark }) => {
    const consumer = new Consumer(memoryOf(shared, "read"), plan.start)
    plan.lengths.forEach((length, number) => {
      mark(String(number))
      consumer.read(Buffer.alloc(length), 0, length)
    })
    return consumer.position
  }
  checkEach(plan, program, { own: at.cons, used: (prod, position) => (prod - position) >>> 0, room: (used) => used })
}

describe("a peer that shows another index at each look", () => {
  it("makes no write touch anything but what its one look leaves free", () => {
    fc.assert(fc.property(plan, (plan) => checkWrites(plan, (memory, start) => new Producer(memory, start))), { numRuns: 2000 })
  })

  it("makes no read touch anything but what its one look says is there", () => {
    fc.assert(fc.property(plan, checkReads), { numRuns: 2000 })
  })

  it("is found out here by a write that looks twice", () => {
    class Twice extends Producer {
      override write(bytes: Uint8Array, offset: number, length: number): number {
        return super.write(bytes, offset, Math.min(length, this.space()))
      }
    }
    const property = fc.property(plan, (plan) => checkWrites(plan, (memory, start) => new Twice(memory, start)))
    assert.isTrue(fc.check(property, { numRuns: 2000 }).failed)
  })
})
