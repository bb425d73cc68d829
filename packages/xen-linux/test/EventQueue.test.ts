import { assert, describe, it } from "@effect/vitest"
import { EventChannel, GrantTable, type Port, type PortListener } from "@vchan/xen"
import { EmulatedXen, HostControl } from "@vchan/xen-linux"
import { Cause, Context, Effect, Exit, Layer, Scope } from "effect"
import * as fs from "node:fs/promises"
import { testHost } from "./testHost.ts"

/** Two ports that are bound to each other, and a page that both sides see. */
const pair = Effect.fnUntraced(function*(directory: string, spinMicros?: number) {
  const one = yield* Layer.build(EmulatedXen.layer({ directory, domid: 1, spinMicros }))
  const two = yield* Layer.build(EmulatedXen.layer({ directory, domid: 2, spinMicros }))
  const left = yield* Context.get(one, EventChannel).bindUnbound(2)
  const right = yield* Context.get(two, EventChannel).bindInterdomain(1, left.port)
  const shared = yield* Context.get(one, GrantTable).share({ domid: 2, count: 1 })
  const mapped = yield* Context.get(two, GrantTable).map({ domid: 1, references: shared.references, writable: true })
  return { left, right, leftWords: new Int32Array(shared.buffer), rightWords: new Int32Array(mapped.buffer) }
})

const counted = (answers: { look: boolean; arm: boolean }) => {
  const count = { looks: 0, arms: 0 }
  const listener: PortListener = {
    look: () => {
      count.looks++
      return answers.look
    },
    arm: () => {
      count.arms++
      return answers.arm
    }
  }
  return { count, listener }
}

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(Effect.repeat({ until: (held) => held }), Effect.timeout("60 seconds"))

describe("EventQueue", () => {
  it.live("timers, files and sockets go on while two connections play ping-pong without a pause", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      let rounds = 0
      let over = false
      const play = (port: Port, words: Int32Array, mine: number) => {
        let sent = 0
        const hit = () => {
          Atomics.store(words, mine, ++sent)
          port.notifyUnsafe()
          port.expectUnsafe()
        }
        port.listenUnsafe({
          look: () => {
            if (over || Atomics.load(words, 1 - mine) - sent < 1 - mine) return false
            rounds++
            hit()
            return true
          },
          arm: () => false
        })
        return hit
      }
      for (let connection = 0; connection < 2; connection++) {
        const { left, leftWords, right, rightWords } = yield* pair(directory)
        play(right, rightWords, 1)
        play(left, leftWords, 0)()
      }
      yield* until(() => rounds > 100)
      for (let turn = 0; turn < 3; turn++) {
        const before = rounds
        yield* Effect.sleep("5 millis")
        yield* Effect.promise(() => fs.readFile(import.meta.filename))
        yield* HostControl.status({ directory })
        assert.isAbove(rounds, before)
      }
      over = true
    }))

  it.live("an idle port is looked at no more, and an event wakes it", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { left, right } = yield* pair(directory)
      const { count, listener } = counted({ look: false, arm: false })
      left.listenUnsafe(listener)
      right.notifyUnsafe()
      yield* until(() => count.arms === 1)
      const { looks } = count
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual(count, { looks, arms: 1 })
      right.notifyUnsafe()
      yield* until(() => count.arms === 2)
      assert.isAbove(count.looks, looks)
    }))

  it.live("without spinning, a port that finds nothing is armed at once and looked at no more", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { left, right } = yield* pair(directory, 0)
      const { count, listener } = counted({ look: false, arm: false })
      left.listenUnsafe(listener)
      right.notifyUnsafe()
      yield* until(() => count.arms === 1)
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(count, { looks: 1, arms: 1 })
    }))

  it.live("a port that is rung for nothing without end is let be for longer and longer, and finds what comes in the end", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { left, right } = yield* pair(directory, 0)
      const answers = { look: false, arm: false }
      const { count, listener } = counted(answers)
      left.listenUnsafe(listener)
      for (let event = 0; event < 20_000; event++) {
        right.notifyUnsafe()
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      }
      assert.isAbove(count.looks, 200)
      assert.isBelow(count.looks + count.arms, 4000)
      const { looks } = count
      answers.look = true
      right.notifyUnsafe()
      yield* until(() => count.looks > looks + 10)
      answers.look = false
    }))

  it.live("a port that its listener ends while it looks is touched no more", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const events = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 1, spinMicros: 0 })), EventChannel)
      const scope = yield* Scope.make()
      const port = yield* Scope.provide(events.bindUnbound(2), scope)
      let ended = false
      port.listenUnsafe({
        look: () => {
          Effect.runFork(Scope.close(scope, Exit.void))
          ended = true
          return false
        },
        arm: () => false
      })
      port.expectUnsafe()
      yield* until(() => ended)
      const { count, listener } = counted({ look: false, arm: false })
      const other = yield* events.bindUnbound(2)
      other.listenUnsafe(listener)
      other.expectUnsafe()
      yield* until(() => count.arms === 1)
    }))

  it.live("a time to spin that is none, or during which nothing else would run, is a RangeError", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      for (const spinMicros of [NaN, -1, Infinity, 1_000_000]) {
        const exit = yield* Effect.exit(Layer.build(EmulatedXen.layer({ directory, spinMicros })))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, RangeError)
      }
    }))

  it.live("work that comes while a port is armed keeps it awake", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { left, right } = yield* pair(directory)
      const answers = { look: false, arm: true }
      const { count, listener } = counted(answers)
      left.listenUnsafe(listener)
      right.notifyUnsafe()
      yield* until(() => count.arms > 100 && count.looks > 100)
      answers.arm = false
      const { arms } = count
      yield* until(() => count.arms > arms)
      yield* Effect.sleep("20 millis")
      assert.isAtMost(count.arms, arms + 1)
    }))

  it.live("expecting an answer keeps a port looking, and arms it again before it sleeps", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { left } = yield* pair(directory)
      const { count, listener } = counted({ look: false, arm: false })
      left.listenUnsafe(listener)
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(count, { looks: 0, arms: 0 })
      left.expectUnsafe()
      yield* until(() => count.arms === 1)
      assert.isAbove(count.looks, 0)
    }))

  it.live("events without number on hundreds of ports lose none, and need no room in between", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const one = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 })), EventChannel)
      const two = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 2 })), EventChannel)
      const ports = yield* Effect.all(Array.from({ length: 600 }, () =>
        Effect.gen(function*() {
          const left = yield* one.bindUnbound(2)
          const right = yield* two.bindInterdomain(1, left.port)
          const { count, listener } = counted({ look: false, arm: false })
          left.listenUnsafe(listener)
          return { right, count }
        })))
      // More than a FIFO has room for: an event on a port that has one pending takes no room.
      for (let round = 0; round < 100; round++) for (const { right } of ports) right.notifyUnsafe()
      yield* until(() => ports.every(({ count }) => count.arms > 0))
      const before = ports.map(({ count }) => count.looks)
      for (const { right } of ports) right.notifyUnsafe()
      yield* until(() => ports.every(({ count }, index) => count.looks > (before[index] ?? 0)))
    }))
})
