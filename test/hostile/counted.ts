/**
 * A process whose ports' listeners are counted: how often they were asked to look or to arm, which is what events cost it.
 */
import { EventChannel, type Port, type Xen } from "@vchan/xen"
import { Context, Effect } from "effect"

/** The same process, and how often its listeners were called. */
export const counted = (context: Context.Context<Xen>): { readonly context: Context.Context<Xen>; readonly looks: () => number } => {
  let looks = 0
  const { bindInterdomain, bindUnbound } = Context.get(context, EventChannel)
  const count = (port: Port): Port => ({
    port: port.port,
    notifyUnsafe: port.notifyUnsafe,
    expectUnsafe: port.expectUnsafe,
    listenUnsafe: (listener) =>
      port.listenUnsafe({
        look: () => {
          looks++
          return listener.look()
        },
        arm: () => {
          looks++
          return listener.arm()
        }
      })
  })
  const events = EventChannel.of({
    bindUnbound: (domid) => Effect.map(bindUnbound(domid), count),
    bindInterdomain: (domid, port) => Effect.map(bindInterdomain(domid, port), count)
  })
  return { context: Context.add(context, EventChannel, events), looks: () => looks }
}
