import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ClientCall, newCall } from "../src/ClientCall.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { PendingCalls } from "../src/PendingCalls.ts"
import { StreamReceiver } from "../src/StreamReceiver.ts"

const [method] = methodsOf(RpcGroup.make(Rpc.make("Say", { success: Schema.String })))

const call = (): ClientCall => {
  if (method === undefined) throw new Error("the group has a method")
  return newCall(method, FrameType.Success, () => {}, undefined)
}

describe("PendingCalls", () => {
  it("finds each call by its id and no other, whichever come and go, also where ids begin anew", () => {
    const steps = fc.array(fc.oneof(fc.constant("add" as const), fc.nat(300)), { maxLength: 600 })
    fc.assert(
      fc.property(steps, fc.constantFrom(1, 0xFFFF_FFFF - 20), (steps, firstId) => {
        const pending = new PendingCalls(firstId)
        const model = new Map<number, ClientCall>()
        for (const step of steps) {
          const gone = step === "add" ? undefined : [...model.values()][step % model.size]
          if (gone === undefined) {
            const added = call()
            pending.add(added)
            expect(model.has(added.id)).toBe(false)
            model.set(added.id, added)
          } else {
            pending.delete(gone)
            model.delete(gone.id)
            expect(pending.get(gone.id)).toBe(undefined)
          }
        }
        expect(pending.size).toBe(model.size)
        expect(new Set(pending)).toEqual(new Set(model.values()))
        for (const [id, each] of model) expect([pending.get(id), pending.get((id + 64) >>> 0)]).toEqual([each, model.get((id + 64) >>> 0)])
      }),
      { numRuns: 100 }
    )
  })

  it("gives ids one after the other, past those in flight", () => {
    const pending = new PendingCalls()
    const calls = Array.from({ length: 3 }, call)
    for (const each of calls) pending.add(each)
    expect(calls.map(({ id }) => id)).toEqual([1, 2, 3])
    for (const each of calls.slice(1)) pending.delete(each)
    // A call that is over, or never began, is not in flight.
    for (const each of [...calls.slice(1), call()]) pending.delete(each)
    expect(pending.size).toBe(1)
    const ids = Array.from({ length: 62 }, () => {
      const next = call()
      pending.add(next)
      pending.delete(next)
      return next.id
    })
    expect(ids.slice(0, 2).concat(ids.slice(-2))).toEqual([4, 5, 64, 66])
  })

  it("has none after it was cleared", () => {
    const pending = new PendingCalls()
    const calls = Array.from({ length: 200 }, call)
    for (const each of calls) pending.add(each)
    pending.clear()
    expect([pending.size, ...pending]).toEqual([0])
  })

  it("holds nothing of the caller's of a call that was given up, but its place", () => {
    const pending = new PendingCalls()
    const stream = new StreamReceiver(1024, () => true)
    const given = { ...call(), stream, length: 7 }
    pending.add(given)
    pending.add(call())
    pending.giveUp(given)
    pending.giveUp(given)
    const kept = pending.get(given.id)
    expect(kept).toMatchObject({ id: given.id, method: given.method, end: given.end, length: 7, isWanted: false })
    expect(kept).toMatchObject({ stream: undefined, upload: undefined, timer: undefined })
    expect(kept?.settle).not.toBe(given.settle)
    expect([pending.size, pending.unwanted]).toEqual([2, 1])
    if (kept !== undefined) pending.delete(kept)
    expect([pending.size, pending.unwanted, pending.get(given.id)]).toEqual([1, 0, undefined])
  })
})
