/**
 * What can go wrong between a domain and its hypervisor: one error class per service, each with a tagged `reason`.
 *
 * Every reason says what failed, with which domid, grant reference, port or path, and what to do next.
 */
import { Schema } from "effect"
import { DomId } from "./DomId.ts"

/** The host that plays the hypervisor's part (or xenstored) went away: nothing of this domain works any more. */
export class HostLost extends Schema.TaggedError<HostLost>()("HostLost", {
  /** Which host, as its user knows it: a run directory or a device. */
  host: Schema.String
}) {
  override get message(): string {
    return `the host at ${this.host} is gone: start it again, then reconnect`
  }
}

/** There is no hypervisor to talk to. */
export class HostMissing extends Schema.TaggedError<HostMissing>()("HostMissing", {
  host: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return `no host at ${this.host}: ${this.hint}`
  }
}

/** The operating system refused a call that the backend made. */
export class SystemRefusal extends Schema.TaggedError<SystemRefusal>()("SystemRefusal", {
  /** The call, with what it was made on: `mmap /run/…/pages`. */
  call: Schema.String,
  /** The errno's name: `ENOMEM`. */
  code: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return `${this.call} failed with ${this.code}: ${this.hint}`
  }
}

/** The other domain granted no such page to this one, or granted it read-only where writing was asked for. */
export class NoSuchGrant extends Schema.TaggedError<NoSuchGrant>()("NoSuchGrant", {
  domid: DomId,
  reference: Schema.Number
}) {
  override get message(): string {
    return `domain ${this.domid} granted no page ${this.reference} to this domain: has its owner ended it, or is the reference made up?`
  }
}

/** No more grants are to be had. */
export class GrantsExhausted extends Schema.TaggedError<GrantsExhausted>()("GrantsExhausted", {
  /** How many grants the domain may hold at once. */
  limit: Schema.Int,
  /** How to raise it, where the backend knows. */
  hint: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `the limit of ${this.limit} grants is reached: close connections, use smaller rings, or raise the limit${
      this.hint === undefined ? "" : ` (${this.hint})`
    }`
  }
}

/** This backend cannot map pages that way. */
export class UnsupportedMapping extends Schema.TaggedError<UnsupportedMapping>()("UnsupportedMapping", {
  domid: DomId,
  detail: Schema.String
}) {
  override get message(): string {
    return `pages of domain ${this.domid} cannot be mapped here: ${this.detail}`
  }
}

/** Why a grant could not be made or mapped. */
export const GrantTableReason = Schema.Union([
  NoSuchGrant,
  GrantsExhausted,
  UnsupportedMapping,
  HostLost,
  HostMissing,
  SystemRefusal
])

/** A grant could not be made or mapped. */
export class GrantTableError extends Schema.TaggedError<GrantTableError>()("GrantTableError", {
  reason: GrantTableReason
}) {
  override get message(): string {
    return this.reason.message
  }
}

/** The other domain holds no unbound port of that number for this domain: it is absent, for another, or bound already. */
export class NoSuchPort extends Schema.TaggedError<NoSuchPort>()("NoSuchPort", {
  domid: DomId,
  port: Schema.Number
}) {
  override get message(): string {
    return `domain ${this.domid} offers no unbound port ${this.port} to this domain: it was closed, is for another domain, or a client is connected to it already`
  }
}

/** No more ports are to be had. */
export class PortsExhausted extends Schema.TaggedError<PortsExhausted>()("PortsExhausted", {
  /** How many ports the domain may hold at once, where the backend knows. */
  limit: Schema.optionalKey(Schema.Int),
  /** How to raise it, where the backend knows. */
  hint: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `the limit of ${this.limit === undefined ? "" : `${this.limit} `}event-channel ports is reached: close connections first${
      this.hint === undefined ? "" : `, or raise the limit (${this.hint})`
    }`
  }
}

/** Why a port could not be had. */
export const EventChannelReason = Schema.Union([NoSuchPort, PortsExhausted, HostLost, HostMissing, SystemRefusal])

/** A port could not be bound. */
export class EventChannelError extends Schema.TaggedError<EventChannelError>()("EventChannelError", {
  reason: EventChannelReason
}) {
  override get message(): string {
    return this.reason.message
  }
}

/** The errors a XenStore server answers with, by errno name (docs/misc/xenstore.txt and xs_wire.h). */
export const XenStoreErrno = Schema.Literals([
  "EINVAL",
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "EIO",
  "ENOTEMPTY",
  "ENOSYS",
  "EROFS",
  "EBUSY",
  "EAGAIN",
  "EISCONN",
  "E2BIG",
  "EPERM"
])

/** An errno name of the XenStore protocol. */
export type XenStoreErrno = typeof XenStoreErrno.Type

/** What to do about the answers that their askers can do something about. */
const hints: { readonly [code in XenStoreErrno]?: string } = {
  EINVAL: "the path or the request is not well formed",
  EACCES: "have the owner permit it, see xenstore-ls -p",
  ENOENT: "look whether it went meanwhile",
  ENOSPC: "this domain has as many nodes or transactions as it may, or a node is too large: remove some, or raise the store's quotas",
  E2BIG: "this domain has as many watches as it may: drop some, or raise the store's quota"
}

/** The store answered with an error. */
export class StoreRefusal extends Schema.TaggedError<StoreRefusal>()("StoreRefusal", {
  operation: Schema.String,
  path: Schema.String,
  code: XenStoreErrno
}) {
  override get message(): string {
    const hint = hints[this.code]
    return `XenStore ${this.operation} ${this.path}: ${this.code}${hint === undefined ? "" : `: ${hint}`}`
  }
}

/** What came from the store is no XenStore protocol, or what was asked for does not fit in it. */
export class StoreProtocol extends Schema.TaggedError<StoreProtocol>()("StoreProtocol", {
  operation: Schema.String,
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `XenStore ${this.operation} ${this.path}: ${this.detail}`
  }
}

/** Why a XenStore operation failed. */
export const XenStoreReason = Schema.Union([StoreRefusal, StoreProtocol, HostLost, HostMissing, SystemRefusal])

/** A XenStore operation failed. */
export class XenStoreError extends Schema.TaggedError<XenStoreError>()("XenStoreError", {
  reason: XenStoreReason
}) {
  override get message(): string {
    return this.reason.message
  }

  /** The errno name where the store answered with one. */
  get code(): XenStoreErrno | undefined {
    return this.reason._tag === "StoreRefusal" ? this.reason.code : undefined
  }
}
