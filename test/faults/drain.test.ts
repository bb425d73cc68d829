import { assert, describe, it } from "@effect/vitest"
import { VchanRpcClient } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { Lasting } from "./contract.ts"
import { startClient, startGuest, startHost, untilReleased } from "./processes.ts"

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
})
