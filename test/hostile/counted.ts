/**
 * A process whose ports' listeners are counted: how often they were asked to look or to arm, which is what events cost it.
 */
import { EventChannel, type Port, type Xen } from "@vchan/xen"
import { Context, Effect } from "effect"
import type { Work } from "./Ledger.ts"
import { inTime, turns } from "./turns.ts"

/** How often listeners were called. */
export interface Counted extends Work {
  /** In all. */
  readonly looks: () => number
}

/** Waits until they are called no more: who is not rung, and has nothing to do, soon does nothing. */
export const quiet = ({ looks }: Counted): Effect.Effect<void> => {
  const look: Effect.Effect<void> = Effect.suspend(() => {
    const before = looks()
    return Effect.flatMap(turns(20), () => looks() === before ? Effect.void : look)
  })
  return inTime("a port's rest, with nobody who rings it", look)
}

/** The same process, with its listeners counted. */
export const counted = (context: Context.Context<Xen>): { readonly context: Context.Context<Xen>; readonly work: Counted } => {
  let looks = 0
  let busy = 0
  let arms = 0
  const { bindInterdomain, bindUnbound } = Context.get(context, EventChannel)
  const count = (port: Port): Port => ({
    port: port.port,
    notifyUnsafe: port.notifyUnsafe,
    expectUnsafe: port.expectUnsafe,
    listenUnsafe: (listener) =>
      port.listenUnsafe({
        look: () => {
          looks++
          const found = listener.look()
          if (found) busy++
          return found
        },
        arm: () => {
          looks++
          arms++
          return listener.arm()
        }
      })
  })
  const events = EventChannel.of({
    bindUnbound: (domid) => Effect.map(bindUnbound(domid), count),
    bindInterdomain: (domid, port) => Effect.map(bindInterdomain(domid, port), count)
  })
  return { context: Context.add(context, EventChannel, events), work: { looks: () => looks, busy: () => busy, arms: () => arms } }
}
