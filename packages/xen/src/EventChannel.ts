/**
 * Event channels: the doorbell between two domains.
 *
 * A port belongs to the Scope it was bound in and is unbound with it; its listener is not called afterwards. Events carry nothing, may be
 * merged, and may come unasked: a listener looks for itself what there is to do.
 */
import { Context, type Effect, type Scope } from "effect"
import type { DomId } from "./DomId.ts"
import type { EventChannelError } from "./XenError.ts"

/**
 * What a port's owner does when rung. Both functions run on the JavaScript thread, outside any fiber, and must not throw.
 *
 * A backend calls `look` after each event, and for a short while after `expectUnsafe`, for as long as `look` finds work. Before it lets
 * the port sleep it calls `arm` once: from then on only an event wakes the port. Where hundreds of events in a row bring no work, it may let the port be
 * for a moment, so that a peer that rings for nothing costs little.
 */
export interface PortListener {
  /** Does the work there is; true when it found some. */
  readonly look: () => boolean
  /** Asks the peer for events, then looks whether work came in between; true when it did, and the port stays awake. */
  readonly arm: () => boolean
}

/** A bound local port. */
export interface Port {
  /** The local port number. */
  readonly port: number
  /** Rings the other side. Dropped silently when nobody is bound there. */
  readonly notifyUnsafe: () => void
  /** Sets who answers; before this, events wait. */
  readonly listenUnsafe: (listener: PortListener) => void
  /** Keeps the port awake: the listener has just done something that the peer may answer soon. */
  readonly expectUnsafe: () => void
}

/** Binding ports (EVTCHNOP_*, public/event_channel.h; xen/evtchn.h). */
export class EventChannel extends Context.Service<EventChannel, {
  /** A fresh port that `domid`, and nobody else, may bind to once. */
  readonly bindUnbound: (domid: DomId) => Effect.Effect<Port, EventChannelError, Scope.Scope>

  /** A local port bound to a port that `domid` keeps for this domain. It starts with one event pending. */
  readonly bindInterdomain: (domid: DomId, port: number) => Effect.Effect<Port, EventChannelError, Scope.Scope>
}>()("@vchan/xen/EventChannel") {}
