import { assert, describe, it } from "@effect/vitest"
import { BufferPool } from "../src/BufferPool.ts"
import { maxBody } from "../src/Frame.ts"

describe("BufferPool", () => {
  it("gives what was given back to the next that fits, and to nobody else", () => {
    const pool = new BufferPool()
    const first = pool.take(maxBody)
    assert.strictEqual(first.length, maxBody)
    assert.notStrictEqual(pool.take(maxBody).buffer, first.buffer)
    pool.give(first)
    const longer = pool.take(2 * maxBody)
    assert.notStrictEqual(longer.buffer, first.buffer)
    const shorter = pool.take(100)
    assert.strictEqual(shorter.length, 100)
    assert.strictEqual(shorter.buffer, first.buffer)
    assert.notStrictEqual(pool.take(100).buffer, first.buffer)
  })

  it("keeps a mebibyte at most", () => {
    const pool = new BufferPool()
    const taken = Array.from({ length: 40 }, () => pool.take(maxBody))
    const given = new Set(taken.map(({ buffer }) => buffer))
    for (const bytes of taken) pool.give(bytes)
    const again = taken.map(() => pool.take(maxBody)).filter(({ buffer }) => given.has(buffer))
    assert.strictEqual(again.length, 16)
    const huge = pool.take(1024 * 1024 + 1)
    pool.give(huge)
    assert.notStrictEqual(pool.take(1024 * 1024 + 1).buffer, huge.buffer)
  })
})
