/**
 * Runs a part of a measured process in a domain of the emulated host, until the process ends. Servers are in domain 1, clients in domain 2.
 */
import { NodeRuntime } from "@effect/platform-node"
import type { DomId, Xen } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, type Scope } from "effect"

export const domain = { server: 1, client: 2 } as const

/** Gives what the effect gives, and keeps what it acquired. A failure ends the process. */
export const inDomain = <A, E>(domid: DomId, effect: Effect.Effect<A, E, Xen | Scope.Scope>): Promise<A> =>
  new Promise((resolve) => {
    const kept = Effect.andThen(Effect.map(effect, resolve), Effect.never)
    NodeRuntime.runMain(kept.pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ domid }))))
  })
