import { assert, describe, it } from "@effect/vitest"
import { Handshake } from "@vchan/vchan"
import { Deferred, Effect } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { enter } from "../conformance/Backend.ts"
import { emulatedHost } from "../conformance/backends.ts"
import { bystander } from "./bystander.ts"
import { counted } from "./counted.ts"
import { path, sizes } from "./pages.ts"
import type { Stormed } from "./stormer.ts"
import { inTime } from "./turns.ts"
import { besides, honest, hostile } from "./world.ts"

const stormer = fileURLToPath(new URL("stormer.ts", import.meta.url))

/** Another process that rings without end, and what it did once it was stopped. */
const storm = Effect.fnUntraced(function*(directory: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(stormer, [directory], { execArgv: ["--conditions=@vchan/source"] })),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  const told = yield* Deferred.make<Stormed>()
  child.once("message", (stormed: Stormed) => Deferred.doneUnsafe(told, Effect.succeed(stormed)))
  return Effect.andThen(
    Effect.sync(() => void child.send("stop")),
    inTime("what the other process did", Deferred.await(told))
  )
})

describe("A storm of events from another process", () => {
  it.live("costs a process a few looks, and leaves its calls for others alone", () =>
    Effect.gen(function*() {
      const host = yield* emulatedHost()
      const server = yield* enter(host, honest)
      const { context, work } = counted(server)
      const listening = yield* Handshake.server({ domid: hostile, path, ...sizes[0] }).pipe(Effect.provideContext(context))
      const stop = yield* storm(host.directory)
      const vchan = yield* Effect.timeout(listening.accept, "20 seconds")
      const reading = yield* Effect.forkScoped(Effect.exit(vchan.readInto(new Uint8Array(100))))
      const { goesOn } = yield* bystander({ domid: honest, server, client: yield* enter(host, besides) })
      for (let round = 0; round < 30; round++) yield* Effect.andThen(Effect.sleep("30 millis"), goesOn)
      const { events, rounds } = yield* stop
      assert.isAbove(events, 5000)
      assert.isAbove(rounds, 20)
      assert.isBelow(work.arms(), 600, `wake-ups by ${events} events`)
      assert.isBelow(work.looks(), 20_000, `looks for ${events} events`)
      assert.isUndefined(reading.pollUnsafe(), "the connection that is stormed stands until its peer goes")
      yield* goesOn
    }).pipe(Effect.scoped))
})
