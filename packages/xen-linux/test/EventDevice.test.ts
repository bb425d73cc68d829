import { assert, describe, it } from "@effect/vitest"
import type { Port } from "@vchan/xen"
import { Effect } from "effect"
import { EventDevice } from "../src/internal/EventDevice.ts"
import * as libc from "../src/internal/libc.ts"
import { fixedSpin, type Spin } from "../src/internal/Spin.ts"
import { readNow, socketPair, until } from "./socketPair.ts"

/** The device with a kernel that tells of events and takes ports back, over a socket. */
const setup = Effect.fnUntraced(function*(spin: Spin = fixedSpin(0)) {
  const [fd, kernel] = yield* socketPair("stream")
  const device = yield* Effect.acquireRelease(
    Effect.sync(() => new EventDevice(fd, spin)),
    (device) => Effect.sync(() => device.end())
  )
  const returned: Array<number> = []
  const collect = (): ReadonlyArray<number> => {
    for (let bytes = readNow(kernel); bytes !== undefined && bytes.length > 0; bytes = readNow(kernel)) {
      returned.push(...new Uint32Array(bytes.buffer))
    }
    return returned
  }
  return {
    fd,
    kernel,
    device,
    /** The ports written back so far. */
    collect,
    fire: (...ports: ReadonlyArray<number>) => {
      const bytes = new Uint8Array(Uint32Array.from(ports).buffer)
      assert.strictEqual(libc.write(kernel, bytes, bytes.length), bytes.length)
    }
  }
})

const counting = (port: Port, answers = { look: false, arm: false }) => {
  const count = { looks: 0, arms: 0 }
  port.listenUnsafe({
    look: () => {
      count.looks++
      return answers.look
    },
    arm: () => {
      count.arms++
      return answers.arm
    }
  })
  return count
}

describe("EventDevice", () => {
  it.live("an event makes its port look, and the port is written back before it is armed and sleeps", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const port = device.open(7)
      const calls: Array<string> = []
      port.listenUnsafe({
        look: () => (calls.push("look"), false),
        arm: () => (calls.push(`arm after ${collect().join()}`), false)
      })
      for (const sleeps of [1, 2]) {
        fire(7)
        yield* until("the sleep", () => calls.length === 2 * sleeps)
      }
      assert.deepStrictEqual(calls, ["look", "arm after 7", "look", "arm after 7,7"])
    }))

  it.live("a port stays masked for as long as it finds work", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const answers = { look: true, arm: false }
      const count = counting(device.open(7), answers)
      fire(7)
      yield* until("many looks", () => count.looks > 50)
      assert.deepStrictEqual(collect(), [])
      answers.look = false
      yield* until("the number", () => collect().length > 0)
      assert.deepStrictEqual(collect(), [7])
    }))

  it.live("a port that was woken from here has nothing to write back", () =>
    Effect.gen(function*() {
      const { collect, device } = yield* setup(fixedSpin(20))
      const port = device.open(7)
      const count = counting(port)
      port.expectUnsafe()
      yield* until("the sleep", () => count.arms === 1)
      assert.deepStrictEqual(collect(), [])
    }))

  it.live("an event that comes before the listener waits for it", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const port = device.open(7)
      const other = counting(device.open(8))
      fire(7, 8)
      yield* until("the other's number", () => collect().length > 0)
      assert.deepStrictEqual(collect(), [8])
      const count = counting(port)
      yield* until("the number", () => collect().length > 1)
      assert.deepStrictEqual(collect(), [8, 7])
      assert.deepStrictEqual([count, other], [{ looks: 1, arms: 1 }, { looks: 1, arms: 1 }])
    }))

  it.live("events of ports that nobody holds here are passed over", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const closed = counting(device.open(6))
      device.close(6)
      const count = counting(device.open(7))
      fire(6, 0, 0xffffffff, 7)
      yield* until("the number", () => collect().length > 0)
      assert.deepStrictEqual(collect(), [7])
      assert.strictEqual(count.looks, 1)
      assert.strictEqual(closed.looks, 0)
    }))

  it.live("more events than one read takes are all answered", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const numbers = Array.from({ length: 1000 }, (_, index) => index + 1)
      const counts = numbers.map((number) => counting(device.open(number)))
      fire(...numbers)
      yield* until("all numbers", () => collect().length === numbers.length)
      assert.deepStrictEqual(collect().toSorted((one, other) => one - other), numbers)
      assert.isTrue(counts.every(({ looks }) => looks === 1))
    }))

  it.live("when events were lost, every port looks and is written back, and events go on", () =>
    Effect.gen(function*() {
      const { collect, device, fire } = yield* setup()
      const counts = [7, 8].map((number) => counting(device.open(number)))
      const late = device.open(9)
      device.overflowed()
      yield* until("both numbers", () => collect().length === 2)
      assert.deepStrictEqual(collect().toSorted(), [7, 8])
      counts.push(counting(late))
      yield* until("the third number", () => collect().length === 3)
      assert.deepStrictEqual(counts.map(({ looks }) => looks), [1, 1, 1])
      fire(8)
      yield* until("the number", () => collect().length === 4)
      assert.strictEqual(counts[1]?.looks, 2)
    }))

  it.live("a port that the kernel cannot take back stays awake until it can", () =>
    Effect.gen(function*() {
      const { collect, device, fd, fire } = yield* setup()
      const count = counting(device.open(7))
      const zeroes = new Uint8Array(4096)
      while (libc.write(fd, zeroes, zeroes.length) > 0);
      while (libc.write(fd, zeroes, 4) > 0);
      fire(7)
      yield* until("many looks", () => count.looks > 50)
      assert.strictEqual(count.arms, 0)
      yield* until("the number", () => collect().includes(7))
      yield* until("the sleep", () => count.arms === 1)
    }))

  it.live("its spin is told of what came while it looked about, of each spin in vain, and of each sleep that an event ended", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const tell = (word: string) => (time = 1) => void told.push(time >= 0 ? word : `${word} of ${time}`)
      const { device, fire } = yield* setup({ window: 1, hit: tell("hit"), missed: tell("missed"), woken: tell("woken") })
      const answers = { look: false, arm: false }
      const port = device.open(7)
      const count = counting(port, answers)
      fire(7)
      yield* until("the sleep", () => count.arms === 1)
      assert.deepStrictEqual(told, ["missed"])
      fire(7)
      yield* until("the second sleep", () => count.arms === 2)
      assert.deepStrictEqual(told, ["missed", "woken", "missed"])
      port.listenUnsafe({ look: () => ++count.looks % 2 === 0, arm: () => (count.arms++, false) })
      count.looks = 0
      yield* until("some hits", () => {
        // Awake anew, where it fell asleep because this process had no CPU for as long as the spin lasts.
        port.expectUnsafe()
        return told.filter((word) => word === "hit").length > 3
      })
      assert.isFalse(told.some((word) => word.includes(" of ")), told.join())
    }))
})
