import { assert, describe, it } from "@effect/vitest"
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { pageSize } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { createHook } from "node:async_hooks"
import { testHost } from "../../packages/xen-linux/test/testHost.ts"

const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
const handlers = Echo.toLayer({ Say: ({ text }) => Effect.succeed(text) })

const domains = 20
const perDomain = 10
/** Two rings of 256 KiB, and the shared page. */
const pagesPerConnection = 2 * 64 + 1

/** How often the event loop was given something to do at once, or by a timer, while `effect` ran. */
const turnsDuring = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    let turns = 0
    const hook = createHook({
      init: (_id, type) => {
        if (type === "Immediate" || type === "Timeout") turns++
      }
    }).enable()
    return Effect.map(Effect.ensuring(effect, Effect.sync(() => hook.disable())), () => turns)
  })

describe("two hundred connections with rings of 256 KiB", () => {
  it.live("are open at once, all answer, and idle ones wake nobody", () =>
    Effect.gen(function*() {
      const host = yield* Effect.orDie(testHost())
      const { directory } = host
      yield* VchanRpcServer.layer(Echo, { service: "echo", clients: "any" }).pipe(
        Layer.provide(handlers),
        Layer.provide(EmulatedXen.layer({ directory, domid: 1 })),
        Layer.build
      )
      const before = process.memoryUsage()
      const started = performance.now()
      const clients = yield* Effect.forEach(
        Array.from({ length: domains }, (_, index) => index + 2),
        Effect.fnUntraced(function*(domid) {
          const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid }))
          return yield* Effect.forEach(
            Array.from({ length: perDomain }, () => domid),
            () => VchanRpcClient.make(Echo, { domain: 1, service: "echo", timeout: "100 seconds" }).pipe(Effect.provideContext(xen)),
            { concurrency: "unbounded" }
          )
        }),
        { concurrency: 4 }
      ).pipe(Effect.map((all) => all.flat()))
      const opened = performance.now() - started
      assert.strictEqual((yield* host.status).ports, 2 * domains * perDomain)
      assert.strictEqual((yield* host.status).grants, domains * perDomain * pagesPerConnection)

      const texts = yield* Effect.forEach(clients, (client, index) => client.Say({ text: `client ${index}` }), { concurrency: "unbounded" })
      assert.deepStrictEqual(texts, clients.map((_, index) => `client ${index}`))
      const after = process.memoryUsage()
      // Both ends are in this process, and mapped pages count as external memory.
      const ends = 2 * clients.length
      const held = (after.heapUsed + after.external - before.heapUsed - before.external) / ends - pagesPerConnection * pageSize
      yield* Effect.log(
        `opened in ${(opened / clients.length).toFixed(1)} ms each; an end holds ${(held / 1024).toFixed(0)} KiB beside its rings`
      )
      assert.isBelow(held, 1024 * 1024)

      // What was busy comes to rest a while later, on a busy machine later still. Sleeping takes a timer; nothing else may run.
      yield* turnsDuring(Effect.sleep("900 millis")).pipe(
        Effect.repeat({ until: (turns) => turns <= 1 }),
        Effect.timeoutOrElse({
          duration: "60 seconds",
          orElse: () => Effect.die(new Error("two hundred idle connections never let the process sleep for 900 ms"))
        })
      )
    }))
})
