/**
 * A request as it will be sent: the payload by its codec, and the envelope of what the caller's fiber and options say. Pure.
 */
import { Effect, type Fiber, Result, type Tracer } from "effect"
import { Headers } from "effect/http"
import { RpcClient } from "effect/rpc"
import type { CallOptions, Method, MethodCodecs } from "./Contract.ts"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { encodeEnvelope, encodeHeaders } from "./Envelope.ts"
import { longestTimer } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import { DeadlineExceeded, HeadersTooLarge, MessageTooLarge, type VchanRpcError, type VchanRpcReason } from "./RpcError.ts"
import { traceOf } from "./Tracing.ts"

/** What a caller says of a call beside its payload. */
export interface Asked {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly options: CallOptions
  /** The call's own, where the program is traced. */
  readonly span: Tracer.Span | undefined
}

/** A request. */
export interface ClientRequest {
  /** A view that lasts until the next payload is encoded. */
  readonly payload: Uint8Array
  readonly envelope: Uint8Array | undefined
  readonly length: number
  /** The milliseconds the call may take; Infinity for no limit. */
  readonly timeout: number
}

/** Makes the request, or tells why it cannot be sent: as the call's failure, or the caller's defect. */
export const requestOf = (
  method: Method,
  codecs: MethodCodecs,
  input: unknown,
  asked: Asked,
  peer: Limits,
  error: (reason: VchanRpcReason) => VchanRpcError
): Result.Result<ClientRequest, Effect.Effect<never, VchanRpcError>> => {
  const fail = (reason: VchanRpcReason) => Result.fail(Effect.fail(error(reason)))
  const { fiber, options, span } = asked
  const left = Math.min(fiber.getRef(CurrentDeadline) - performance.now(), method.timeout)
  if (left <= 0) return fail(new DeadlineExceeded({ allowedMillis: 0 }))
  let value: unknown
  try {
    value = method.makePayload(input)
  } catch (defect) {
    return Result.fail(Effect.die(defect))
  }
  const encoded = codecs.payload.encode(value)
  if (Result.isFailure(encoded)) {
    return Result.fail(Effect.die(new Error(`the payload of ${method.name} cannot be encoded: ${encoded.failure}`)))
  }
  const payload = encoded.success
  const timeout = left > longestTimer ? Infinity : left
  const current = fiber.getRef(RpcClient.CurrentHeaders)
  let envelope: Uint8Array | undefined
  if (
    timeout !== Infinity || span !== undefined || options.discard === true || options.headers !== undefined || current !== Headers.empty
  ) {
    const headers = Object.entries(Headers.merge(current, Headers.fromInput(options.headers)))
    const headerBytes = headers.length === 0 ? undefined : encodeHeaders(headers)
    const length = headerBytes?.length ?? 0
    if ((headers.length > 0 && headerBytes === undefined) || length > peer.maxHeaders) {
      return fail(new HeadersTooLarge({ limit: peer.maxHeaders }))
    }
    const trace = span === undefined ? undefined : traceOf(span)
    if (timeout !== Infinity || trace !== undefined || options.discard === true || headerBytes !== undefined) {
      envelope = encodeEnvelope({ timeout: timeout === Infinity ? undefined : timeout, discard: options.discard, trace }, headerBytes)
    }
  }
  const length = payload.length + (envelope?.length ?? 0)
  if (length > peer.maxMessage) return fail(new MessageTooLarge({ what: "payload", length, limit: peer.maxMessage }))
  return Result.succeed({ payload, envelope, length, timeout })
}
