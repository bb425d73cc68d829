/**
 * Tracing: spans around calls where the program has a tracer, and nothing at all where it has none. Owns nothing.
 */
import type { Vchan } from "@vchan/vchan"
import { Context, Effect, Tracer } from "effect"
import { isTrace, type Trace } from "./Envelope.ts"

/** Whether a tracer was provided. Effect's own, which is there without, tells nobody of its spans. */
export const isTraced = (context: Context.Context<never>): boolean => Context.getOrUndefined(context, Tracer.Tracer) !== undefined

/** How spans of calls tell what they are of. */
const spanOptions = (service: string, method: string, domid: number, kind: "client" | "server") => ({
  kind,
  attributes: { "rpc.system.name": "vchan_rpc", "rpc.service": service, "rpc.method": method, "vchan.peer.domid": domid }
})

/** Where a call goes. */
interface Connected {
  readonly service: string
  readonly vchan: Vchan
}

/** The name and the options of a call's span. */
export const clientSpan = ({ service, vchan }: Connected, method: string) =>
  [`${service}.${method}`, spanOptions(service, method, vchan.peer, "client")] as const

/** A handler in a span of its own, below the caller's where that came along. */
export const withServerSpan = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { service, vchan }: Connected,
  method: string,
  trace: Trace | undefined
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
  Effect.withSpan(effect, `${service}.${method}`, {
    ...spanOptions(service, method, vchan.peer, "server"),
    ...(trace === undefined ? { root: true } : { parent: Tracer.externalSpan(trace) })
  })

/** What travels of a span; nothing where its ids are of another kind than the wire's. */
export const traceOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): Trace | undefined => {
  const trace = { traceId, spanId, sampled }
  return isTrace(trace) ? trace : undefined
}
