/**
 * What can go wrong with a vchan: one error class with a tagged `reason`, naming the peer's domid and the XenStore path they meet at.
 */
import { DomId, EventChannelReason, GrantTableReason, printable, XenStoreReason } from "@vchan/xen"
import { Schema } from "effect"

/** The peer closed its end, or its process died: its live byte is 0. All it wrote before has been read. */
export class PeerGone extends Schema.TaggedError<PeerGone>()("PeerGone", {}) {
  override get message(): string {
    return "the peer closed the connection, or its process ended"
  }
}

/** The peer's whole domain is gone. */
export class DomainGone extends Schema.TaggedError<DomainGone>()("DomainGone", {}) {
  override get message(): string {
    return "the peer's domain is gone"
  }
}

/** The peer wrote into the shared page what no honest peer writes. */
export class RingCorrupt extends Schema.TaggedError<RingCorrupt>()("RingCorrupt", {
  /** Which field, and what it held. */
  detail: Schema.String
}) {
  override get message(): string {
    return `the peer broke the ring's rules (${this.detail}): the connection is closed, do not trust that domain`
  }
}

/** The server offers rings that the protocol does not allow. */
export class BadGeometry extends Schema.TaggedError<BadGeometry>()("BadGeometry", {
  detail: Schema.String
}) {
  override get message(): string {
    return `the rings offered cannot be: ${this.detail}`
  }
}

/** What stands in XenStore is no grant reference or no port. */
export class BadAdvert extends Schema.TaggedError<BadAdvert>()("BadAdvert", {
  key: Schema.String,
  value: Schema.String
}) {
  override get message(): string {
    return `the key ${this.key} holds ${JSON.stringify(this.value)}, not a number: is a vchan server writing there?`
  }
}

/** The server holds a client already, or answered that it gives this domain no connection. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  detail: Schema.String
}) {
  override get message(): string {
    return `refused: ${this.detail}`
  }
}

/** No server came within the time given. */
export class ServerAbsent extends Schema.TaggedError<ServerAbsent>()("ServerAbsent", {
  waitedMillis: Schema.Number,
  /** The domain that asked. */
  client: DomId
}) {
  override get message(): string {
    return `no server there after ${this.waitedMillis} ms: is it running, and does it admit this domain, ${this.client}?`
  }
}

/** Another listener of this domain has taken the service's place in XenStore. */
export class Replaced extends Schema.TaggedError<Replaced>()("Replaced", {}) {
  override get message(): string {
    return "another server of this domain took this one's place: run one at a time, or give them different names"
  }
}

/** C peers build their keys in a 64-byte buffer and would truncate this path. */
export class PathTooLong extends Schema.TaggedError<PathTooLong>()("PathTooLong", {
  limit: Schema.Int
}) {
  override get message(): string {
    return `the path is over ${this.limit} bytes, and C peers would cut it: choose a shorter one`
  }
}

/** This end was closed. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {
  override get message(): string {
    return "this end of the connection is closed"
  }
}

/** More bytes in one packet than the ring holds. */
export class PacketTooLong extends Schema.TaggedError<PacketTooLong>()("PacketTooLong", {
  length: Schema.Int,
  ring: Schema.Int
}) {
  override get message(): string {
    return `a packet of ${this.length} bytes never fits a ring of ${this.ring}: use write/read, or ask for larger rings`
  }
}

/** Why a vchan failed. */
export const VchanReason = Schema.Union([
  PeerGone,
  DomainGone,
  RingCorrupt,
  BadGeometry,
  BadAdvert,
  Refused,
  ServerAbsent,
  Replaced,
  PathTooLong,
  Closed,
  PacketTooLong,
  ...GrantTableReason.members,
  ...EventChannelReason.members,
  ...XenStoreReason.members
])

/** A vchan could not be made, or ended. */
export class VchanError extends Schema.TaggedError<VchanError>()("VchanError", {
  /** The peer's domid. */
  domid: DomId,
  /** The XenStore path both meet at. */
  path: Schema.String,
  reason: VchanReason
}) {
  override get message(): string {
    // What stands in XenStore may be the peer's words.
    return printable(`vchan with domain ${this.domid} at ${this.path}: ${this.reason.message}`)
  }
}
