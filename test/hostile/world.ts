/**
 * The world of one case: the attacked process, the attacker's, and an honest pair beside them. When the attack is over nothing may be held, and
 * the pair has to go on.
 */
import { type Xen, XenStore } from "@vchan/xen"
import { Context, Effect, type Scope } from "effect"
import { enter, type Host } from "../conformance/Backend.ts"
import { bystander } from "./bystander.ts"

/** The domain that is attacked, and the one that attacks. */
export const honest = 3
export const hostile = 5
/** The domain of those who have nothing to do with it. */
export const besides = 9

/** Their processes. */
export interface Parties {
  readonly honest: Context.Context<Xen>
  readonly hostile: Context.Context<Xen>
  readonly besides: Context.Context<Xen>
}

/** Makes the world, attacks, and looks what is left. */
export const world = Effect.fnUntraced(function*<E, H extends Host>(
  backend: { readonly host: () => Effect.Effect<H, never, Scope.Scope> },
  attack: (parties: Parties, host: H) => Effect.Effect<void, E, Scope.Scope>
) {
  const host = yield* backend.host()
  yield* Effect.scoped(Effect.gen(function*() {
    const [server, client, attacker] = yield* Effect.all([enter(host, honest), enter(host, besides), enter(host, hostile)])
    yield* Effect.scoped(Effect.gen(function*() {
      const { goesOn } = yield* bystander({ domid: honest, server, client })
      yield* Effect.scoped(attack({ honest: server, hostile: attacker, besides: client }, host))
      yield* goesOn
    }))
    const left = yield* Effect.forEach(["data", "data/rpc"], Context.get(server, XenStore).directory)
    // The directory of all services stays with its domain.
    if (left.flat().join() !== "rpc") yield* Effect.die(new Error(`keys are left in the store: ${left.join(", ")}`))
  }))
  yield* host.assertReleased
})
