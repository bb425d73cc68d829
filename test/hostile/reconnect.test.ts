import { assert, describe, it } from "@effect/vitest"
import { VchanRpcClient } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { Effect, Schedule, Stream } from "effect"
import { enter } from "../conformance/Backend.ts"
import { memory } from "../conformance/backends.ts"
import { Fuzzed, service, servicePath } from "./contract.ts"
import { FramePeer } from "./FramePeer.ts"
import { frameBytes, honestGreeting } from "./frames.ts"
import { turns } from "./turns.ts"
import { honest, hostile } from "./world.ts"

/** Serves clients that are dropped as soon as they have a Hello; counts them. */
const serve = Effect.fnUntraced(function*(last: "nothing" | "GoingAway") {
  const host = yield* memory.host()
  const count = { clients: 0 }
  yield* Listener.make({
    path: servicePath,
    clients: "any",
    handler: (vchan) =>
      Effect.suspend(() => {
        count.clients++
        const peer = new FramePeer(vchan, honestGreeting("binary"), () => {})
        if (last === "GoingAway") {
          peer.act({ does: "bytes", bytes: frameBytes({ type: 14, flags: 0, method: 0, id: 0, body: new Uint8Array(0) }) })
        }
        return turns(5)
      })
  }).pipe(Effect.provideContext(yield* enter(host, hostile)))
  return { client: yield* enter(host, honest), count }
})

describe("A server that lets clients in and drops them at once", () => {
  it.live.each(["nothing", "GoingAway"] as const)(
    "is tried no more often than one that is not there (its last word: %s)",
    (last) =>
      Effect.gen(function*() {
        const { client, count } = yield* serve(last)
        const reconnect = Schedule.upTo(Schedule.spaced("1 millis"), { times: 3 })
        const { changes, state } = yield* VchanRpcClient.connect(Fuzzed, { domain: hostile, service, reconnect }).pipe(
          Effect.provideContext(client)
        )
        yield* Stream.runDrain(changes)
        assert.strictEqual((yield* state)._tag, "Lost")
        assert.strictEqual(count.clients, 4)
      }).pipe(Effect.scoped)
  )
})
