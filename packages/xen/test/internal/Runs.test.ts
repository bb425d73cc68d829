import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Runs } from "../../src/internal/Runs.ts"

describe("Runs", () => {
  it("lends numbers that nobody else holds, and all of them again once given back", () => {
    fc.assert(fc.property(fc.array(fc.record({ count: fc.integer({ min: 1, max: 9 }), back: fc.nat() })), (steps) => {
      const runs = new Runs(8, 64)
      const held: Array<{ readonly first: number; readonly count: number }> = []
      for (const { back, count } of steps) {
        const first = runs.take(count)
        if (first !== undefined) {
          assert.isAtLeast(first, 8)
          assert.isAtMost(first + count, 64)
          assert.isTrue(held.every((run) => run.first + run.count <= first || first + count <= run.first))
          held.push({ first, count })
        }
        if (back % 2 === 0 || first === undefined) {
          const [run] = held.splice(back % Math.max(held.length, 1), 1)
          if (run !== undefined) runs.give(run.first, run.count)
        }
      }
      for (const run of held) runs.give(run.first, run.count)
      assert.strictEqual(runs.take(56), 8)
    }))
  })

  it("says so when no run is long enough", () => {
    const runs = new Runs(0, 4)
    assert.strictEqual(runs.take(5), undefined)
    assert.strictEqual(runs.take(4), 0)
    assert.strictEqual(runs.take(1), undefined)
  })
})
