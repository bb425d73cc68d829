import { assert, describe, it } from "@effect/vitest"
import { servicePath, VchanRpcClient } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { EmulatedXen } from "@vchan/xen-linux"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { Lasting, Restarting } from "./contract.ts"
import { startClient, startGuest, startHost, startRestarting, untilReleased } from "./processes.ts"

const ownDomid = 77

describe("SIGTERM of a guest in the middle of a call", () => {
  it.live("lets the call come to its end, with the items its caller still sends, and takes no new one", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory)
      yield* Effect.gen(function*() {
        const { changes, client } = yield* VchanRpcClient.connect(Lasting, { domain: guest.domid, service: "lasting", reconnect: false })
        const last = yield* Deferred.make<number>()
        const call = yield* Effect.forkChild(
          client.Sum({ numbers: Stream.concat(Stream.make(1), Stream.fromEffect(Deferred.await(last))) })
        )
        yield* guest.told("took 1")
        yield* guest.signal("SIGTERM")
        // The client is lost to new calls as soon as it has heard.
        yield* Stream.runDrain(changes)
        assert.strictEqual((yield* Effect.flip(client.Say({ text: "late" }))).reason._tag, "Draining")
        yield* Deferred.succeed(last, 2)
        assert.strictEqual(yield* Fiber.join(call), 3)
      }).pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ directory, domid: ownDomid })))
      yield* untilReleased(directory, 0)
      assert.include(guest.words, "Sum Success")
    }))

  it.live("interrupts a call that takes longer than the grace, and tells its caller", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory)
      const client = yield* startClient(directory, guest.domid)
      yield* guest.signal("SIGTERM")
      yield* client.told("Hang failed: Interrupted")
      yield* guest.told("Hang interrupted")
      yield* client.kill("SIGTERM")
      yield* untilReleased(directory, 0)
    }))
  it.live("lets clients that come meanwhile wait for the next guest, or tells them at once, and fails none of their calls", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const domain = 5
      const first = yield* startRestarting(directory, domain)
      yield* Effect.gen(function*() {
        const old = yield* VchanRpcClient.make(Restarting, { domain, service: "restarting" })
        const hanging = yield* Effect.forkChild(old.Hang(), { startImmediately: true })
        assert.strictEqual(yield* old.Get({ key: 1 }), 1)
        yield* first.signal("SIGTERM")
        const connect = Listener.connect({ domid: domain, path: servicePath(domain, "restarting"), absent: "fail" })
        const told = yield* Effect.flip(Effect.repeat(Effect.scoped(connect), Schedule.spaced("1 millis")))
        assert.strictEqual(told.reason._tag, "ServerAbsent")
        const late = VchanRpcClient.make(Restarting, { domain, service: "restarting", timeout: "10 seconds" })
        const calling = yield* Effect.forkChild(Effect.flatMap(late, (it) => Effect.all([it.Get({ key: 2 }), it.Add({ key: 3 })])))
        yield* Effect.sleep("50 millis")
        assert.isUndefined(calling.pollUnsafe())
        yield* Fiber.interrupt(hanging)
        yield* first.kill("SIGTERM")
        const second = yield* startRestarting(directory, domain)
        assert.deepStrictEqual(yield* Fiber.join(calling), [2, 3])
        yield* second.kill("SIGTERM")
      }).pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ directory, domid: ownDomid })))
      yield* untilReleased(directory, 0)
    }))
})
