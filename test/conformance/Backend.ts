/**
 * What a backend shows of itself to be held against the contracts of @vchan/xen. Every backend runs the same suites.
 */
import type { DomId, Xen } from "@vchan/xen"
import { type Context, Effect, Layer, Schedule, type Scope } from "effect"

/** A host with as many domains as are asked for. */
export interface Host {
  /** A process in a domain; the domain comes with its first process and goes with its last. */
  readonly domain: (domid: DomId) => Layer.Layer<Xen, unknown>
  /** Destroys a domain without a sign to its peers. */
  readonly destroy: (domid: DomId) => Effect.Effect<void>
  /** Dies where anything is still held. */
  readonly assertReleased: Effect.Effect<void>
}

/** A backend to hold against the contracts. */
export interface Backend {
  readonly name: string
  readonly host: (
    limits?: { readonly grantsPerDomain?: number; readonly portsPerDomain?: number }
  ) => Effect.Effect<Host, never, Scope.Scope>
}

/** The services of a process in a domain, until the Scope ends. */
export const enter = (host: Host, domid: DomId): Effect.Effect<Context.Context<Xen>, never, Scope.Scope> =>
  Layer.build(host.domain(domid)).pipe(Effect.orDie)

/** Waits, in bounded time, until a condition holds. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (held) => held, schedule: Schedule.spaced("2 millis") }),
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`it never came: ${what}`)) }),
    Effect.asVoid
  )
