/**
 * An honest pair beside the attack: a client of another domain calls a service of the very process that is attacked, without a pause.
 *
 * It belongs to the Scope. Each of its calls has to be answered, rightly.
 */
import { VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import type { Xen } from "@vchan/xen"
import { type Context, Effect, Fiber, Layer, Schema, type Scope } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { turns, until } from "./turns.ts"

const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))
const handlers = Echo.toLayer({ Say: ({ text }) => Effect.succeed(`${text}!`) })

export interface Bystander {
  /** Done when it got further from now on; dies where it did not, or where anything went wrong. */
  readonly goesOn: Effect.Effect<void>
}

/** Serves in the process of domain `domid`, and calls from another. */
export const bystander = Effect.fnUntraced(function*(options: {
  readonly domid: number
  readonly server: Context.Context<Xen>
  readonly client: Context.Context<Xen>
}): Effect.fn.Return<Bystander, never, Scope.Scope> {
  const { client, domid, server } = options
  yield* VchanRpcServer.layer(Echo, { service: "beside", clients: "any" }).pipe(
    Layer.provide(handlers),
    Layer.build,
    Effect.provideContext(server),
    Effect.orDie
  )
  const echo = yield* VchanRpcClient.make(Echo, { domain: domid, service: "beside" }).pipe(Effect.provideContext(client), Effect.orDie)
  let calls = 0
  const loop = yield* Effect.gen(function*() {
    const answer = yield* echo.Say({ text: String(calls) })
    if (answer !== `${calls}!`) return yield* Effect.die(new Error(`the bystander asked ${calls} and was answered ${answer}`))
    calls++
    yield* turns(1)
  }).pipe(Effect.forever, Effect.orDie, Effect.forkScoped)
  return {
    goesOn: Effect.suspend(() => {
      const from = calls
      return Effect.raceFirst(until("the bystander's next answers", () => calls > from + 2), Fiber.join(loop))
    })
  }
})
