import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startClient, startGuest, startHost, untilReleased } from "./processes.ts"

const quick = ["300", "300"]

describe("A process that stands still, so that nothing tells of its end,", () => {
  it.live("as a client is let go of by its guest, which ends both handlers, frees all it held and serves the next", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory, quick)
      const client = yield* startClient(directory, guest.domid)
      yield* client.signal("SIGSTOP")
      yield* guest.told("Hang interrupted")
      yield* guest.told("Numbers ended")
      const next = yield* startClient(directory, guest.domid)
      yield* client.kill()
      yield* next.kill()
      yield* untilReleased(directory, 1)
    }))

  it.live("as a guest is given up by its client, whose calls fail with PeerSilent", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory)
      const client = yield* startClient(directory, guest.domid, quick)
      yield* guest.signal("SIGSTOP")
      assert.include(yield* client.told("Hang failed: PeerSilent"), "does the other domain still run?")
      yield* client.told("Numbers failed: PeerSilent")
      yield* client.told("Say failed: PeerSilent")
    }))
})
