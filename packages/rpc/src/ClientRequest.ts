/**
 * What a caller's input becomes before it is sent: the payload's bytes, an envelope where there is something to say beside it, and the stream
 * that it carries. Pure.
 */
import { Exit, Result, type Stream } from "effect"
import { type Asked, seal, type Sealed } from "./ClientEnvelope.ts"
import type { Method, MethodCodecs } from "./Contract.ts"
import type { Limits } from "./Limits.ts"
import { messageOf } from "./planValues.ts"
import { MessageTooLarge, type VchanRpcReason } from "./RpcError.ts"

/** What is to be sent. */
export interface ClientRequest {
  /** To be used before the next value is encoded: see `Codec`. */
  readonly body: Uint8Array
  readonly envelope: Sealed | undefined
  /** The caller's stream, where the method takes one. */
  readonly items: Stream.Stream<unknown, unknown> | undefined
}

/** A caller's mistake is a defect. */
const mistake = (text: string, options?: ErrorOptions): Exit.Exit<never> => Exit.die(new Error(text, options))

/** The request of a call, or the end of one that cannot be sent. */
export const requestOf = (
  method: Method,
  codecs: MethodCodecs,
  peer: Limits,
  input: unknown,
  asked: Asked
): ClientRequest | Exit.Exit<never, VchanRpcReason> => {
  const { name } = method
  let payload: unknown
  try {
    payload = method.makePayload(input)
  } catch (cause) {
    return mistake(`the payload of ${name} does not fit its schema: ${messageOf(cause)}`, { cause })
  }
  let items: ClientRequest["items"]
  if (method.upload !== undefined) {
    if (asked.options.discard === true) return mistake(`${name} takes a stream, and cannot be called with discard`)
    const { rest, stream } = method.upload.split(payload)
    payload = rest
    items = stream
  }
  const body = codecs.payload.encode(payload)
  if (Result.isFailure(body)) return mistake(`the payload of ${name} cannot be encoded: ${body.failure}`)
  const envelope = seal(method, asked, peer.maxHeaders)
  if (envelope !== undefined && "_tag" in envelope) return Exit.fail(envelope)
  const length = body.success.length + (envelope?.bytes.length ?? 0)
  if (length > peer.maxMessage) return Exit.fail(new MessageTooLarge({ what: "payload", length, limit: peer.maxMessage }))
  return { body: body.success, envelope, items }
}
