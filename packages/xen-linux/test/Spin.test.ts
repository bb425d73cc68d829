import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { AdaptiveSpin, fixedSpin } from "../src/internal/Spin.ts"

/** How many waits without spinning it takes until it spins. */
const waitsUntilTrial = (spin: AdaptiveSpin, waited = 0.5, most = 10_000): number => {
  let count = 0
  while (spin.window === 0 && count < most) {
    spin.missed()
    spin.woken(waited)
    count++
  }
  return count
}

/** How many spins it takes until it gives up. */
const spinsUntilEnd = (spin: AdaptiveSpin, lose: () => void, most = 10_000): number => {
  let count = 0
  while (spin.window > 0 && count < most) {
    lose()
    count++
  }
  return count
}

const missed = (spin: AdaptiveSpin) => () => {
  spin.missed()
  spin.woken(2)
}

describe("AdaptiveSpin", () => {
  it("sleeps at first, and spins after some short waits", () => {
    const spin = new AdaptiveSpin(1000)
    assert.strictEqual(spin.window, 0)
    assert.strictEqual(waitsUntilTrial(spin), 4)
    assert.isAbove(spin.window, 0)
  })

  it("spins no longer than waits last without", () => {
    const spin = new AdaptiveSpin(1000)
    for (let times = 0; times < 20; times++) {
      waitsUntilTrial(spin, 0.04)
      if (times < 19) spinsUntilEnd(spin, missed(spin))
    }
    assert.closeTo(spin.window, 0.04, 0.001)
  })

  it("gives up after some misses, and tries ever more rarely", () => {
    const spin = new AdaptiveSpin(1000)
    const pauses = Array.from({ length: 10 }, () => {
      const waits = waitsUntilTrial(spin)
      assert.strictEqual(spinsUntilEnd(spin, missed(spin)), 3)
      return waits
    })
    assert.deepStrictEqual(pauses, [4, 4, 8, 16, 32, 64, 128, 256, 512, 512])
  })

  it("counts as a loss what comes later than without spinning", () => {
    const spin = new AdaptiveSpin(1000)
    waitsUntilTrial(spin)
    assert.strictEqual(spinsUntilEnd(spin, () => spin.hit(3)), 3)
  })

  it("bears more losses where it paid, and tries again soon", () => {
    const spin = new AdaptiveSpin(1000)
    for (let times = 0; times < 5; times++) {
      waitsUntilTrial(spin)
      spinsUntilEnd(spin, missed(spin))
    }
    waitsUntilTrial(spin)
    for (let times = 0; times < 20; times++) spin.hit(0.05)
    assert.strictEqual(spinsUntilEnd(spin, missed(spin)), 8)
    assert.strictEqual(waitsUntilTrial(spin), 4)
  })

  it("measures waits without spinning again after many gains", () => {
    const spin = new AdaptiveSpin(1000)
    waitsUntilTrial(spin)
    const gains = spinsUntilEnd(spin, () => spin.hit(0.25))
    assert.isAbove(gains, 100)
    assert.isBelow(gains, 1000)
    assert.strictEqual(waitsUntilTrial(spin), 4)
  })

  it("is not tried where waits are long", () => {
    const spin = new AdaptiveSpin(1000)
    assert.strictEqual(waitsUntilTrial(spin, 5), 10_000)
  })

  it("never lasts longer than it may, whatever comes", () => {
    const wait = fc.double({ min: 0, max: 100, noNaN: true })
    const steps = fc.array(fc.tuple(fc.constantFrom("hit", "missed", "woken"), wait), { maxLength: 200 })
    fc.assert(fc.property(fc.constantFrom(0, 1, 100, 1000), steps, (longest, steps) => {
      const spin = new AdaptiveSpin(longest)
      for (const [step, wait] of steps) {
        if (step === "hit") spin.hit(wait)
        else if (step === "woken") spin.woken(wait)
        else spin.missed()
        assert.isTrue(spin.window >= 0 && spin.window <= longest / 1000, `${spin.window}`)
      }
    }))
  })
})

describe("fixedSpin", () => {
  it("learns nothing", () => {
    const spin = fixedSpin(20)
    spin.missed()
    spin.woken(1)
    spin.hit(1)
    assert.strictEqual(spin.window, 0.02)
  })
})
