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

/** What a backend's hosts may be unable to show. */
export type Capability =
  | "several domains"
  | "a privileged domain"
  | "a domain's end"
  | "a limit on ports"
  | "a guest's quotas"
  | "a store that is fast"

/** A backend to hold against the contracts. */
export interface Backend {
  readonly name: string
  /** The domids that the suites use: 0, 1, 2 and 3, or all the same where a domain has to play each part itself. */
  readonly domids?: { readonly zero: DomId; readonly one: DomId; readonly two: DomId; readonly three: DomId }
  /** What cannot be shown here, and why: tests that need it are skipped, with that for a reason. */
  readonly lacks?: Partial<Record<Capability, string>>
  readonly host: (
    limits?: { readonly grantsPerDomain?: number; readonly portsPerDomain?: number }
  ) => Effect.Effect<Host, never, Scope.Scope>
}

/** The domids that a suite uses. */
export const domidsOf = (backend: Backend) => backend.domids ?? { zero: 0, one: 1, two: 2, three: 3 }

/** Why the backend cannot show what a test needs; false where it can. */
export const lacks = (backend: Backend, need: Capability): string | false => {
  const why = backend.lacks?.[need]
  return why === undefined ? false : `it takes ${need}: ${why}`
}

/** The services of a process in a domain, until the Scope ends. */
export const enter = (host: Host, domid: DomId): Effect.Effect<Context.Context<Xen>, never, Scope.Scope> =>
  Layer.build(host.domain(domid)).pipe(Effect.orDie)

/** Waits, in bounded time, until a condition holds; dies with what never came, as it is told then. */
export const until = (what: string | (() => string), condition: () => boolean): Effect.Effect<void> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (held) => held, schedule: Schedule.spaced("2 millis") }),
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () => Effect.die(new Error(`it never came: ${typeof what === "string" ? what : what()}`))
    }),
    Effect.asVoid
  )
