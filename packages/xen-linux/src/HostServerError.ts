/**
 * Why an emulated host did not start.
 */
import { SystemRefusal } from "@vchan/xen"
import { Schema } from "effect"

/** Another host serves the directory. */
export class HostRunning extends Schema.TaggedError<HostRunning>()("HostRunning", {
  directory: Schema.String
}) {
  override get message(): string {
    return `a host serves ${this.directory} already: use that one, or name another directory`
  }
}

/** The directory is not one to trust. */
export class DirectoryRefused extends Schema.TaggedError<DirectoryRefused>()("DirectoryRefused", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.directory} cannot be a host's directory: ${this.detail}`
  }
}

/** The directory's path leaves no room for the names of the unix sockets in it. */
export class DirectoryTooLong extends Schema.TaggedError<DirectoryTooLong>()("DirectoryTooLong", {
  directory: Schema.String,
  /** The most bytes that the path of a unix socket may have. */
  limit: Schema.Int
}) {
  override get message(): string {
    return `${this.directory} is too long a path: unix sockets in it would have paths over ${this.limit} bytes; name a shorter one`
  }
}

/** Why an emulated host did not start. */
export const HostServerReason = Schema.Union([HostRunning, DirectoryRefused, DirectoryTooLong, SystemRefusal])

/** An emulated host did not start. */
export class HostServerError extends Schema.TaggedError<HostServerError>()("HostServerError", {
  reason: HostServerReason
}) {
  override get message(): string {
    return this.reason.message
  }
}
