import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { RawPeer, turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(Rpc.make("Die"))
const methods = methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" }))

describe("A server whose client takes no answers", () => {
  it.live("tells of its handlers' defects as far as its memory goes, and answers every call", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let running = 0
      const Live = Group.toLayer({
        Die: () =>
          Effect.suspend(() => {
            running++
            return Effect.andThen(Deferred.await(gate), Effect.die(new Error("x".repeat(60_000))))
          })
      }).pipe(Layer.provideMerge(Logger.layer([])))
      const { client, server } = memoryVchans({ size: 4096 })
      const serve = yield* Effect.provide(serveGroup(Group, { service: "test", maxMessage: 100_000, memory: 300_000 }), Live)
      yield* Effect.forkScoped(serve(server))
      const peer = new RawPeer(client)
      peer.hello({ methods })
      yield* peer.typed(FrameType.Hello)
      peer.reads = false
      for (let id = 1; id <= 40; id++) peer.send(FrameType.Request, 0, id, new TextEncoder().encode("null"))
      yield* until(() => running === 40 || undefined)
      yield* Deferred.succeed(gate, undefined)
      yield* turns(20)
      peer.reads = true
      peer.read()
      const defects = yield* until(() => {
        const found = peer.frames.filter(({ type }) => type === FrameType.Defect)
        return found.length === 40 ? found : undefined
      })
      const told = defects.filter(({ body }) => body.length > 0)
      // One more than there is memory for is on its way.
      assert.isTrue(told.length > 0 && told.length <= 6)
    }).pipe(Effect.scoped))
})
