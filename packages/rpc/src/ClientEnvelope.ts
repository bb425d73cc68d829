/**
 * What a caller's fiber and options put into a request's envelope. Pure.
 */
import { Context, type Tracer } from "effect"
import { Headers } from "effect/http"
import { RpcClient } from "effect/rpc"
import type { CallOptions, Method } from "./Contract.ts"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { encodeEnvelope, encodeHeaders } from "./Envelope.ts"
import { longestTimer } from "./Keepalive.ts"
import { DeadlineExceeded, HeadersTooLarge } from "./RpcError.ts"
import { traceOf } from "./Tracing.ts"

/** What a caller says of a call beside its payload. */
export interface Asked {
  /** Of its fiber. */
  readonly context: Context.Context<never>
  readonly options: CallOptions
  /** The call's own, where the program is traced. */
  readonly span: Tracer.Span | undefined
}

/** An envelope to send. */
export interface Sealed {
  readonly bytes: Uint8Array
  /** The milliseconds the call may take; Infinity for no limit. */
  readonly timeout: number
}

/** The envelope; undefined where there is nothing to say, and the reason where it cannot be sent. */
export const seal = (method: Method, asked: Asked, maxHeaders: number): Sealed | DeadlineExceeded | HeadersTooLarge | undefined => {
  const { context, options, span } = asked
  const { discard } = options
  const end = Context.get(context, CurrentDeadline)
  const left = end === Infinity ? method.timeout : Math.min(end - performance.now(), method.timeout)
  const current = Context.get(context, RpcClient.CurrentHeaders)
  const isBare = discard !== true && span === undefined && options.headers === undefined && current === Headers.empty
  if (left > longestTimer && isBare) return undefined
  if (left <= 0) return new DeadlineExceeded({ allowedMillis: 0 })
  const list = Object.entries(Headers.merge(current, Headers.fromInput(options.headers)))
  const headers = list.length === 0 ? new Uint8Array(0) : encodeHeaders(list)
  if (headers === undefined || headers.length > maxHeaders) return new HeadersTooLarge({ limit: maxHeaders })
  const timeout = left > longestTimer ? undefined : left
  const trace = span === undefined ? undefined : traceOf(span)
  if (timeout === undefined && discard !== true && trace === undefined && list.length === 0) return undefined
  const bytes = encodeEnvelope({ timeout, discard, trace }, list.length === 0 ? undefined : headers)
  return { bytes, timeout: timeout ?? Infinity }
}
