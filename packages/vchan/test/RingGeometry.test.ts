import { assert, describe, it } from "@effect/vitest"
import { chooseOrders, maxRing, ordersFault, ringOffset, ringPages, ringSize } from "../src/RingGeometry.ts"

const KiB = 1024

describe("chooseOrders, as libxenvchan's server_init", () => {
  const rows: ReadonlyArray<readonly [left: number, right: number, orders: readonly [number, number] | undefined]> = [
    [0, 0, [10, 11]],
    [1, 1, [10, 11]],
    [1023, 2047, [10, 11]],
    [1024, 1024, [10, 11]],
    [1024, 2048, [10, 11]],
    [1024, 2049, [11, 12]],
    [1024, 4096, [11, 12]],
    [0, 1025, [10, 11]],
    [0, maxRing, [11, 20]],
    [2047, 2047, [11, 12]],
    [2048, 2048, [11, 12]],
    [1025, 1025, [11, 12]],
    [1025, 2049, [11, 12]],
    [2049, 1023, [12, 11]],
    [2049, 1024, [12, 11]],
    [2049, 2048, [12, 11]],
    [4096, 1024, [12, 11]],
    [2048, 1024, [11, 10]],
    [1025, 1024, [11, 10]],
    [2048, 1023, [11, 10]],
    [2048, 1025, [11, 12]],
    [2049, 2049, [12, 12]],
    [4096, 4096, [12, 12]],
    [4097, 4096, [13, 12]],
    [4096, 4097, [12, 13]],
    [64 * KiB - 1, 64 * KiB + 1, [16, 17]],
    [64 * KiB, 64 * KiB, [16, 16]],
    [256 * KiB, 256 * KiB, [18, 18]],
    [maxRing - 1, maxRing / 2 + 1, [20, 20]],
    [maxRing, maxRing, [20, 20]],
    [maxRing + 1, 0, undefined],
    [0, maxRing + 1, undefined],
    [-1, 0, undefined],
    [0.5, 0, undefined],
    [Number.NaN, 0, undefined],
    [0, Number.POSITIVE_INFINITY, undefined]
  ]
  for (const [left, right, orders] of rows) {
    it(`${left}, ${right} -> ${orders === undefined ? "refused" : orders.join(", ")}`, () => {
      assert.deepStrictEqual(chooseOrders(left, right), orders === undefined ? undefined : { left: orders[0], right: orders[1] })
    })
  }

  it("every choice holds what was asked for, and is one that a client accepts", () => {
    for (const left of [0, 1024, 1025, 2048, 2049, 4096, 4097, 100_000, maxRing]) {
      for (const right of [0, 1024, 1025, 2048, 2049, 4096, 4097, 100_000, maxRing]) {
        const orders = chooseOrders(left, right)
        if (orders === undefined) throw new Error("refused")
        assert.isAtLeast(ringSize(orders.left), left)
        assert.isAtLeast(ringSize(orders.right), right)
        assert.isUndefined(ordersFault(orders))
      }
    }
  })
})

describe("ordersFault", () => {
  it("accepts the 101 pairs that the protocol allows, and no other", () => {
    const accepted: Array<string> = []
    for (let left = 0; left <= 25; left++) {
      for (let right = 0; right <= 25; right++) if (ordersFault({ left, right }) === undefined) accepted.push(`${left},${right}`)
    }
    const expected: Array<string> = []
    for (let left = 10; left <= 20; left++) {
      for (let right = 10; right <= 20; right++) {
        const small = Math.min(left, right)
        const large = Math.max(left, right)
        const both = left === right && left < 12
        if (!both && !(small === 10 && large >= 12)) expected.push(`${left},${right}`)
      }
    }
    assert.deepStrictEqual(accepted, expected)
    assert.lengthOf(accepted, 101)
  })

  it("refuses what only a hostile page holds", () => {
    for (const order of [-1, 0, 9, 21, 31, 255, 0xFFFF, Number.NaN]) {
      assert.isString(ordersFault({ left: order, right: 12 }))
      assert.isString(ordersFault({ left: 12, right: order }))
    }
  })
})

describe("places", () => {
  it("small rings lie in the shared page, behind the list of grants; larger ones have pages of their own", () => {
    assert.deepStrictEqual([10, 11].map(ringOffset), [1024, 2048])
    assert.deepStrictEqual([10, 11, 12, 13, 20].map(ringPages), [0, 0, 1, 2, 256])
  })
})
