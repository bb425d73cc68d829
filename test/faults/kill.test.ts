import { assert, describe, it } from "@effect/vitest"
import { HostControl } from "@vchan/xen-linux"
import { Effect } from "effect"
import * as fs from "node:fs"
import { startClient, startGuest, startHost, untilHolds, untilReleased } from "./processes.ts"

describe("kill -9", () => {
  it.live("of a guest in the middle of a call and of a stream fails both with PeerGone, and leaves nothing on the host", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory)
      const client = yield* startClient(directory, guest.domid)
      yield* guest.kill()
      assert.include(yield* client.told("Hang failed: PeerGone"), `with domain ${guest.domid}`)
      yield* client.told("Numbers failed: PeerGone")
      yield* client.told("Say failed: ConnectionLost")
      yield* untilReleased(directory, 1)
      yield* client.kill()
      yield* untilReleased(directory, 0)
      const { nodes, watches } = yield* HostControl.status({ directory })
      const fresh = yield* Effect.flatMap(startHost, ({ directory }) => HostControl.status({ directory }))
      assert.deepStrictEqual({ nodes, watches }, { nodes: fresh.nodes, watches: 0 })
    }))

  it.live("of a client in the middle of a call and of a stream ends both handlers, and the guest serves the next", () =>
    Effect.gen(function*() {
      const { directory } = yield* startHost
      const guest = yield* startGuest(directory)
      const before = yield* HostControl.status({ directory })
      const client = yield* startClient(directory, guest.domid)
      yield* client.kill()
      yield* guest.told("Hang interrupted")
      yield* guest.told("Numbers ended")
      yield* untilHolds(directory, before)
      yield* startClient(directory, guest.domid)
    }))

  it.live("of the host fails both sides: with HostLost the one that notices it first, and with HostLost or PeerGone the other", () =>
    Effect.gen(function*() {
      const host = yield* startHost
      const guest = yield* startGuest(host.directory)
      const client = yield* startClient(host.directory, guest.domid)
      yield* host.kill()
      const how = yield* client.told("Hang failed: ")
      if (how.startsWith("HostLost")) assert.include(how, `the host at ${host.directory} is gone`)
      else assert.match(how, /^PeerGone/)
      assert.match(yield* client.told("Numbers failed: "), /^(HostLost|PeerGone)/)
      yield* guest.told("Hang interrupted")
      yield* guest.told("Numbers ended")
    }))
})

describe("SIGTERM", () => {
  it.live("lets each process go in peace, and the host's directory is empty after the last", () =>
    Effect.gen(function*() {
      const host = yield* startHost
      const guest = yield* startGuest(host.directory)
      const client = yield* startClient(host.directory, guest.domid)
      yield* client.kill("SIGTERM")
      yield* guest.told("Hang interrupted")
      yield* guest.told("Numbers ended")
      yield* guest.kill("SIGTERM")
      yield* untilReleased(host.directory, 0)
      yield* host.kill("SIGTERM")
      assert.deepStrictEqual(fs.readdirSync(host.directory), [])
    }))
})
