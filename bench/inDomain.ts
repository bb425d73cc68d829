/**
 * Runs a part of a measured process until the process ends, in a domain of the emulated host or in none. Servers are in domain 1, clients in
 * domain 2.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { DomId, Xen } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, type Layer, type Scope } from "effect"

export const domain = { server: 1, client: 2 } as const

/** Gives what the effect gives, and keeps what it and the Layer acquired. A failure ends the process. */
export const keeping = <A, E, R, E2>(effect: Effect.Effect<A, E, R | Scope.Scope>, layer: Layer.Layer<R, E2>): Promise<A> =>
  new Promise((resolve) => {
    NodeRuntime.runMain(Effect.andThen(Effect.map(effect, resolve), Effect.never).pipe(Effect.scoped, Effect.provide(layer)))
  })

/** The same in a domain. */
export const inDomain = <A, E>(domid: DomId, effect: Effect.Effect<A, E, Xen | Scope.Scope>): Promise<A> =>
  keeping(effect, EmulatedXen.layer({ domid }))
