import { assert, describe, it } from "@effect/vitest"
import { Discovery, VchanRpcClient, type VchanRpcError } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Fiber, Layer, Ref, Result } from "effect"
import { until } from "../conformance/Backend.ts"
import { Restarting } from "./contract.ts"
import { startHost, startRestarting, untilReleased } from "./processes.ts"

const clients = [11, 12, 13]
/** How many calls of each kind a client has in flight. */
const width = 8
const restarts = 3

/** Calls on and on, and keeps how the calls ended, until it is told to stop. */
const callOn = Effect.fnUntraced(function*<E>(call: (key: number) => Effect.Effect<number, E>, stop: { readonly now: boolean }) {
  const failures: Array<E> = []
  let done = 0
  yield* Effect.forEach(
    Array.from({ length: width }, (_, key) => key),
    Effect.fnUntraced(function*(key) {
      while (!stop.now) {
        yield* Effect.match(call(key), {
          onFailure: (error) => void failures.push(error),
          onSuccess: (value) => {
            assert.strictEqual(value, key)
            done++
          }
        })
      }
    }),
    { concurrency: "unbounded", discard: true }
  )
  return { done, failures }
})

const lost = ({ reason }: VchanRpcError): string => reason._tag

describe("A guest that is killed and started again, thrice, under the calls of three domains,", () => {
  it.live.each([
    ["with its whole domain", false],
    ["in a domain that lives on", true]
  ])("%s, fails no idempotent call, and others only with ConnectionLost", ([, livesOn]) =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      if (livesOn) yield* Layer.build(EmulatedXen.layer({ directory, domid: 5 }))
      const first = yield* startRestarting(directory, 5)
      const current = yield* Ref.make(first)
      const stop = { now: false }
      let connected = 0
      const client = Effect.fnUntraced(function*(domid: number) {
        const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid }))
        const guest = yield* VchanRpcClient.make(Restarting, { domain: 5, service: "restarting" }).pipe(Effect.provideContext(xen))
        connected++
        const hanging = yield* Effect.forkChild(Effect.flip(guest.Hang()))
        const [gets, adds] = yield* Effect.all([
          callOn((key) => guest.Get({ key }), stop),
          callOn((key) => guest.Add({ key }), stop)
        ], { concurrency: 2 })
        return { gets, adds, hung: yield* Fiber.join(hanging) }
      })
      const calling = yield* Effect.forkScoped(
        Effect.scoped(Effect.forEach(clients, client, { concurrency: "unbounded" }))
      )
      yield* until("connections of all clients", () => connected === clients.length)
      for (let times = 0; times < restarts; times++) {
        yield* Effect.sleep("300 millis")
        yield* (yield* Ref.get(current)).kill()
        yield* Ref.set(current, yield* startRestarting(directory, 5))
      }
      yield* Effect.sleep("1 second")
      stop.now = true
      for (const { adds, gets, hung } of yield* Fiber.join(calling)) {
        assert.deepStrictEqual(gets.failures.map(lost), [])
        assert.isAbove(gets.done, 0)
        assert.isAbove(adds.done, 0)
        assert.deepStrictEqual([...new Set(adds.failures.map(lost))], ["ConnectionLost"])
        assert.isAtMost(adds.failures.length, restarts * width)
        assert.strictEqual(lost(hung), "ConnectionLost")
      }
      yield* (yield* Ref.get(current)).kill()
      // What the dead process announced stays where its domain does, and misleads nobody.
      const left = yield* Effect.provide(
        Discovery.services({ domain: 5, timeout: "100 millis" }),
        EmulatedXen.layer({ directory, domid: 11 })
      )
      const found = left.map(({ methods, service }) => [service, Result.isFailure(methods) && methods.failure.reason._tag])
      assert.deepStrictEqual(found, livesOn ? [["restarting", "ConnectFailed"]] : [])
      if (!livesOn) yield* untilReleased(directory, 0)
    }).pipe(Effect.scoped))
})
