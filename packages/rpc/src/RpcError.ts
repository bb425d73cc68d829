/**
 * What can go wrong with a call that is no error of the called service: one error class with a tagged `reason`, naming the domain, the
 * service and the method.
 */
import { VchanError } from "@vchan/vchan"
import { DomId, printable } from "@vchan/xen"
import { Schema } from "effect"

/** No connection could be made to the domain. */
export class ConnectFailed extends Schema.TaggedError<ConnectFailed>()("ConnectFailed", {
  error: VchanError
}) {
  override get message(): string {
    return `could not connect: ${this.error.message}`
  }
}

/** The connection ended before the call did. Whether the handler ran is not known. */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {
  error: VchanError
}) {
  override get message(): string {
    return `the connection was lost: ${this.error.message}`
  }
}

/** The two sides cannot talk: not the protocol, not the version, or not the service that was asked for. */
export class HandshakeRefused extends Schema.TaggedError<HandshakeRefused>()("HandshakeRefused", {
  detail: Schema.String
}) {
  override get message(): string {
    return `the connection was refused: ${this.detail}`
  }
}

/** The other side connected and then said nothing. */
export class HandshakeTimeout extends Schema.TaggedError<HandshakeTimeout>()("HandshakeTimeout", {
  waitedMillis: Schema.Number
}) {
  override get message(): string {
    return `no Hello after ${this.waitedMillis} ms: is it a vchan-rpc peer, and is it alive?`
  }
}

/** The server has no such method. */
export class UnknownMethod extends Schema.TaggedError<UnknownMethod>()("UnknownMethod", {}) {
  override get message(): string {
    return "the server has no such method: is it of another version?"
  }
}

/** The two sides have versions of the method of which no call could work. Nothing was sent. */
export class IncompatibleSchema extends Schema.TaggedError<IncompatibleSchema>()("IncompatibleSchema", {
  /** Where they differ: `payload`, `success` or `error`, and the way to the field. */
  path: Schema.String,
  /** What this side has there. */
  client: Schema.String,
  /** What the server has there. */
  server: Schema.String
}) {
  override get message(): string {
    return `${this.path} is ${this.client} here and ${this.server} on the server: bring both sides to versions of the contract that fit`
  }
}

/** The payload is not what the server's schema of the method wants. The handler did not run. */
export class BadPayload extends Schema.TaggedError<BadPayload>()("BadPayload", {
  detail: Schema.String
}) {
  override get message(): string {
    return `the server could not read the payload: ${this.detail}`
  }
}

/** The reply is not what this side's schema of the method wants. */
export class BadReply extends Schema.TaggedError<BadReply>()("BadReply", {
  detail: Schema.String
}) {
  override get message(): string {
    return `the reply could not be read: ${this.detail}`
  }
}

/** A payload, a reply or one item of a stream is longer than the side that would receive it takes. */
export class MessageTooLarge extends Schema.TaggedError<MessageTooLarge>()("MessageTooLarge", {
  what: Schema.Literals(["payload", "reply", "item"]),
  length: Schema.Int,
  limit: Schema.Int
}) {
  override get message(): string {
    const raise = this.what === "item" ? "maxMessage, and window for a stream that is sent to a server" : "maxMessage"
    return `the ${this.what} takes ${this.length} bytes, and the receiver takes ${this.limit}: raise its ${raise}, or send less at once`
  }
}

/** The headers of a call take more bytes than the server takes. */
export class HeadersTooLarge extends Schema.TaggedError<HeadersTooLarge>()("HeadersTooLarge", {
  limit: Schema.Int
}) {
  override get message(): string {
    return `the call's headers take more than the ${this.limit} bytes that the server takes: send less, or raise its maxHeaders`
  }
}

/** A payload or a reply does not fit beside those that are on their way already. */
export class TooManyBytes extends Schema.TaggedError<TooManyBytes>()("TooManyBytes", {
  what: Schema.Literals(["payload", "reply"]),
  length: Schema.Int,
  limit: Schema.Int
}) {
  override get message(): string {
    return `the ${this.what} of ${this.length} bytes does not fit beside the others in the ${this.limit} bytes of memory that the server has for` +
      " one connection: wait for some calls to end, or raise its memory"
  }
}

/** As many calls as the server allows are in flight on this connection. */
export class TooManyCalls extends Schema.TaggedError<TooManyCalls>()("TooManyCalls", {
  limit: Schema.Int
}) {
  override get message(): string {
    return `${this.limit} calls are in flight, which is the server's limit: wait for some to end, or raise its maxCalls`
  }
}

/** The server has left so many calls unended that were given up here that no more are made on this connection until it ends some. Nothing was sent. */
export class CallsUnended extends Schema.TaggedError<CallsUnended>()("CallsUnended", {
  /** How many there are. */
  calls: Schema.Int
}) {
  override get message(): string {
    return `${this.calls} calls were given up here, and the server has not ended them: does it still work? Wait for some to end, or raise the` +
      " client's maxCalls"
  }
}

/** This domain has made more calls than the server lets a domain make in a time. The handler did not run. */
export class RateExceeded extends Schema.TaggedError<RateExceeded>()("RateExceeded", {
  calls: Schema.Number,
  perMillis: Schema.Number,
  /** The milliseconds after which the next call may be made. */
  retryMillis: Schema.Number
}) {
  override get message(): string {
    const { calls, perMillis, retryMillis } = this
    return `the server takes ${calls} calls of one domain in ${perMillis} ms: call again in ${Math.ceil(retryMillis)} ms, or raise its rate`
  }
}

/** The server shuts down, and takes no new calls. The handler did not run. */
export class Draining extends Schema.TaggedError<Draining>()("Draining", {}) {
  override get message(): string {
    return "the server shuts down and takes no new calls: connect again when it is back"
  }
}

/** The call was not over in the time it had. Whether the handler did its work is not known; it was interrupted. */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  /** The milliseconds the call had. */
  allowedMillis: Schema.Number
}) {
  override get message(): string {
    return `the call was not over in the ${Math.round(this.allowedMillis)} ms it had`
  }
}

/** The handler was interrupted by its own side, as when the server shuts down. */
export class Interrupted extends Schema.TaggedError<Interrupted>()("Interrupted", {}) {
  override get message(): string {
    return "the server ended the call before it was done"
  }
}

/** The peer did nothing at all, and did not answer when it was asked whether it lives. */
export class PeerSilent extends Schema.TaggedError<PeerSilent>()("PeerSilent", {
  silentMillis: Schema.Number
}) {
  override get message(): string {
    return `one side heard nothing of the other for ${this.silentMillis} ms, and the connection is closed: does the other domain still run?`
  }
}

/** One side sent what the protocol does not allow, and the connection is closed. */
export class ProtocolViolation extends Schema.TaggedError<ProtocolViolation>()("ProtocolViolation", {
  /** Who broke it, as the side that noticed tells. */
  by: Schema.Literals(["this side", "the peer"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.by} broke the protocol (${this.detail}): the connection is closed`
  }
}

/** Why the engine failed a call or a connection. */
export const VchanRpcReason = Schema.Union([
  ConnectFailed,
  ConnectionLost,
  HandshakeRefused,
  HandshakeTimeout,
  UnknownMethod,
  IncompatibleSchema,
  BadPayload,
  BadReply,
  MessageTooLarge,
  HeadersTooLarge,
  TooManyBytes,
  TooManyCalls,
  CallsUnended,
  RateExceeded,
  Draining,
  DeadlineExceeded,
  Interrupted,
  PeerSilent,
  ProtocolViolation
])

/** Why the engine failed a call or a connection. */
export type VchanRpcReason = typeof VchanRpcReason.Type

/** Why a server's engine answers a call in the handler's place: the body of a Refusal. */
export const CallRefusal = Schema.Union([
  UnknownMethod,
  BadPayload,
  MessageTooLarge,
  HeadersTooLarge,
  TooManyBytes,
  TooManyCalls,
  RateExceeded,
  Draining,
  DeadlineExceeded,
  Interrupted
])

/** Why a server's engine answers a call in the handler's place. */
export type CallRefusal = typeof CallRefusal.Type

/** Why one side closes the connection: the body of a Goodbye. */
export const ConnectionRefusal = Schema.Union([HandshakeRefused, HandshakeTimeout, PeerSilent, ProtocolViolation])

/** Why one side closes the connection. */
export type ConnectionRefusal = typeof ConnectionRefusal.Type

/** A call over a vchan failed, or its connection could not be made or ended. */
export class VchanRpcError extends Schema.TaggedError<VchanRpcError>()("VchanRpcError", {
  /** The peer's domid. */
  domid: DomId,
  service: Schema.String,
  /** The method called; absent where the whole connection is meant. */
  method: Schema.optionalKey(Schema.String),
  reason: VchanRpcReason
}) {
  override get message(): string {
    const name = this.method === undefined ? this.service : `${this.service}.${this.method}`
    // Much of a reason can be the peer's own words.
    return printable(`${name} with domain ${this.domid}: ${this.reason.message}`)
  }
}
