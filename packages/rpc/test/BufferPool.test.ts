import { assert, describe, it } from "@effect/vitest"
import { BufferPool } from "../src/BufferPool.ts"

const length = 64 * 1024

describe("BufferPool", () => {
  it("gives what was given back to the next that fits, and to nobody else", () => {
    const pool = new BufferPool()
    const first = pool.take(length)
    assert.strictEqual(first.length, length)
    assert.notStrictEqual(pool.take(length).buffer, first.buffer)
    pool.give(first)
    const longer = pool.take(2 * length)
    assert.notStrictEqual(longer.buffer, first.buffer)
    const shorter = pool.take(100)
    assert.strictEqual(shorter.length, 100)
    assert.strictEqual(shorter.buffer, first.buffer)
    assert.notStrictEqual(pool.take(100).buffer, first.buffer)
  })

  it("keeps a mebibyte at most", () => {
    const pool = new BufferPool()
    const taken = Array.from({ length: 40 }, () => pool.take(length))
    const given = new Set(taken.map(({ buffer }) => buffer))
    for (const bytes of taken) pool.give(bytes)
    const again = taken.map(() => pool.take(length)).filter(({ buffer }) => given.has(buffer))
    assert.strictEqual(again.length, 16)
    const huge = pool.take(1024 * 1024 + 1)
    pool.give(huge)
    assert.notStrictEqual(pool.take(1024 * 1024 + 1).buffer, huge.buffer)
  })

  it("keeps nothing after it was cleared", () => {
    const pool = new BufferPool()
    const taken = pool.take(length)
    pool.give(taken)
    pool.clear()
    assert.notStrictEqual(pool.take(length).buffer, taken.buffer)
  })
})
