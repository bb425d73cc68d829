/**
 * The contract of GrantTable, for any backend.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventChannel, GrantTable, GrantTableError, pageSize } from "@vchan/xen"
import { Cause, Context, Effect, Exit, Schedule, Scope } from "effect"
import { type Backend, domidsOf, enter, lacks, until } from "./Backend.ts"

export const grantTable = (backend: Backend): void => {
  const ids = domidsOf(backend)
  const pair = Effect.gen(function*() {
    const host = yield* backend.host()
    const one = yield* enter(host, ids.one)
    const two = yield* enter(host, ids.two)
    return { host, one, two, grants: Context.get(one, GrantTable), other: Context.get(two, GrantTable) }
  })

  describe(`GrantTable on ${backend.name}`, () => {
    it.live("shared pages are zeroed, and both sides see each other's bytes", () =>
      Effect.gen(function*() {
        const { grants, other } = yield* pair
        const shared = yield* grants.share({ domid: ids.two, count: 3 })
        const mapped = yield* other.map({ domid: ids.one, references: shared.references, writable: true })
        const mine = new Uint8Array(shared.buffer)
        const yours = new Uint8Array(mapped.buffer)
        assert.strictEqual(mine.length, 3 * pageSize)
        assert.strictEqual(yours.length, 3 * pageSize)
        assert.isTrue(mine.every((byte) => byte === 0))
        mine[pageSize] = 7
        yours[3 * pageSize - 1] = 9
        assert.strictEqual(yours[pageSize], 7)
        assert.strictEqual(mine[3 * pageSize - 1], 9)
      }))

    it.live("an index that one side stores with Atomics is loaded by the other", () =>
      Effect.gen(function*() {
        const { grants, other } = yield* pair
        const shared = yield* grants.share({ domid: ids.two, count: 1 })
        const mapped = yield* other.map({ domid: ids.one, references: shared.references, writable: true })
        Atomics.store(new Int32Array(shared.buffer), 5, -1)
        assert.strictEqual(Atomics.load(new Uint32Array(mapped.buffer), 5), 0xffffffff)
      }))

    it.live.skipIf(lacks(backend, "several domains"))(
      "a page is for the domain it was granted to and no other",
      () =>
        Effect.gen(function*() {
          const { grants, host } = yield* pair
          const three = Context.get(yield* enter(host, ids.three), GrantTable)
          const shared = yield* grants.share({ domid: ids.two, count: 1 })
          const error = yield* Effect.flip(three.map({ domid: ids.one, references: shared.references, writable: true }))
          assert.strictEqual(error.reason._tag, "NoSuchGrant")
          assert.include(error.message, `page ${shared.references[0]}`)
        })
    )

    it.live("a reference that nobody made, or that another domain made, is refused", () =>
      Effect.gen(function*() {
        const { grants, other } = yield* pair
        const shared = yield* grants.share({ domid: ids.two, count: 1 })
        for (
          const [domid, references] of [
            [ids.one, [0x7fffffff]],
            [ids.one, [0]],
            [3, shared.references],
            [ids.one, [...shared.references, 1]]
          ] as const
        ) {
          const error = yield* Effect.flip(other.map({ domid, references, writable: true }))
          assert.strictEqual(error.reason._tag, "NoSuchGrant")
        }
      }))

    // Xen takes a grant back once nobody maps its page any more. Linux ends a mapping a moment later, and looks for grants to take back when
    // the next pages are lent.
    it.live("a mapping outlives the share, and after both have ended the page cannot be mapped", () =>
      Effect.gen(function*() {
        const { grants, other } = yield* pair
        const [scope, mapping] = [yield* Scope.make(), yield* Scope.make()]
        const shared = yield* Scope.provide(grants.share({ domid: ids.two, count: 1 }), scope)
        const mapped = yield* Scope.provide(other.map({ domid: ids.one, references: shared.references, writable: true }), mapping)
        new Uint8Array(shared.buffer)[3] = 5
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(new Uint8Array(mapped.buffer)[3], 5)
        const next = yield* grants.share({ domid: ids.two, count: 1 })
        assert.notDeepEqual(next.references, shared.references)
        assert.strictEqual(new Uint8Array(next.buffer)[3], 0)
        yield* Scope.close(mapping, Exit.void)
        const again = Effect.flip(Effect.scoped(other.map({ domid: ids.one, references: shared.references, writable: true })))
        const error = yield* Effect.andThen(Effect.scoped(grants.share({ domid: ids.two, count: 1 })), again).pipe(
          Effect.retry({ schedule: Schedule.spaced("5 millis"), times: 400 })
        )
        assert.instanceOf(error, GrantTableError)
        assert.strictEqual(error.reason._tag, "NoSuchGrant")
      }))

    it.live("a page lent anew is zeroed again", () =>
      Effect.gen(function*() {
        const { grants } = yield* pair
        for (let round = 0; round < 20; round++) {
          const bytes = yield* Effect.scoped(Effect.gen(function*() {
            const shared = yield* grants.share({ domid: ids.two, count: 2 })
            const view = new Uint8Array(shared.buffer)
            const clean = view.every((byte) => byte === 0)
            view.fill(0xff)
            return clean
          }))
          assert.isTrue(bytes, `round ${round}`)
        }
      }))

    it.live("when a mapping ends, its byte is cleared and its port's peer is rung", () =>
      Effect.gen(function*() {
        const { grants, one, other, two } = yield* pair
        const port = yield* Context.get(one, EventChannel).bindUnbound(ids.two)
        let rung = 0
        port.listenUnsafe({ look: () => (rung++, false), arm: () => false })
        const shared = yield* grants.share({ domid: ids.two, count: 1 })
        const bytes = new Uint8Array(shared.buffer)
        bytes.fill(1)
        const scope = yield* Scope.make()
        const local = yield* Context.get(two, EventChannel).bindInterdomain(ids.one, port.port)
        yield* Scope.provide(
          other.map({ domid: ids.one, references: shared.references, writable: true, notify: { clearByte: 20, port: local.port } }),
          scope
        )
        const before = rung
        yield* Scope.close(scope, Exit.void)
        yield* until("the ring", () => rung > before)
        assert.strictEqual(bytes[20], 0)
        assert.strictEqual(bytes[19], 1)
        assert.strictEqual(bytes[21], 1)
      }))

    it.live("when a share ends, its byte is cleared and its port's peer is rung", () =>
      Effect.gen(function*() {
        const { grants, one, other, two } = yield* pair
        const port = yield* Context.get(one, EventChannel).bindUnbound(ids.two)
        const scope = yield* Scope.make()
        const shared = yield* Scope.provide(grants.share({ domid: ids.two, count: 1, notify: { clearByte: 21, port: port.port } }), scope)
        const mapped = yield* other.map({ domid: ids.one, references: shared.references, writable: true })
        const bytes = new Uint8Array(mapped.buffer)
        bytes.fill(1)
        const local = yield* Context.get(two, EventChannel).bindInterdomain(ids.one, port.port)
        let rung = 0
        local.listenUnsafe({ look: () => (rung++, false), arm: () => false })
        yield* until("the first ring", () => rung > 0)
        const before = rung
        yield* Scope.close(scope, Exit.void)
        yield* until("the ring", () => rung > before)
        assert.strictEqual(bytes[21], 0)
        assert.strictEqual(bytes[20], 1)
      }))

    it.live.skipIf(lacks(backend, "a domain's end"))(
      "a destroyed domain changes no byte, and the mapping stays readable",
      () =>
        Effect.gen(function*() {
          const { grants, host, one, other } = yield* pair
          const port = yield* Context.get(one, EventChannel).bindUnbound(ids.two)
          const shared = yield* grants.share({ domid: ids.two, count: 1, notify: { clearByte: 21, port: port.port } })
          const mapped = yield* other.map({ domid: ids.one, references: shared.references, writable: true })
          new Uint8Array(mapped.buffer).fill(1)
          yield* host.destroy(ids.one)
          assert.isTrue(new Uint8Array(mapped.buffer).every((byte) => byte === 1))
          const error = yield* Effect.flip(other.map({ domid: ids.one, references: shared.references, writable: true }))
          assert.strictEqual(error.reason._tag, "NoSuchGrant")
        })
    )

    it.live("the limit on grants is an error that names it, and ended shares count no more", () =>
      Effect.gen(function*() {
        const host = yield* backend.host({ grantsPerDomain: 8 })
        const grants = Context.get(yield* enter(host, ids.one), GrantTable)
        for (let round = 0; round < 3; round++) {
          const error = yield* Effect.scoped(Effect.gen(function*() {
            yield* grants.share({ domid: ids.two, count: 5 })
            return yield* Effect.flip(grants.share({ domid: ids.two, count: 4 }))
          }))
          assert.strictEqual(error.reason._tag, "GrantsExhausted")
          assert.include(error.message, "8 grants")
        }
      }))

    it.live("a share of what is no number of pages is a RangeError, and the next share is as good as ever", () =>
      Effect.gen(function*() {
        const { grants, host } = yield* pair
        for (const count of [0, -1, 1.5, NaN, Infinity]) {
          const exit = yield* Effect.exit(Effect.scoped(grants.share({ domid: ids.two, count })))
          assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, RangeError)
        }
        yield* host.assertReleased
        const shares = yield* Effect.forEach([1, 2, 3], (count) => grants.share({ domid: ids.two, count }))
        const references = shares.flatMap((share) => share.references)
        assert.strictEqual(new Set(references).size, 6)
        assert.isAtLeast(Math.min(...references), 8)
      }))

    it.live("nothing is left when a Scope ends by failure or interruption", () =>
      Effect.gen(function*() {
        const { grants, host, other } = yield* pair
        const use = Effect.gen(function*() {
          const shared = yield* grants.share({ domid: ids.two, count: 4 })
          yield* other.map({ domid: ids.one, references: shared.references, writable: false })
        })
        yield* Effect.exit(Effect.scoped(Effect.andThen(use, Effect.fail("on purpose"))))
        yield* Effect.exit(Effect.scoped(Effect.andThen(use, Effect.interrupt)))
        yield* host.assertReleased
      }))
  })
}
