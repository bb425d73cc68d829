/**
 * Asking a running host, from any process of its user, without joining a domain.
 */
import type { DomId, HostLost, HostMissing, SystemRefusal } from "@vchan/xen"
import { Effect, Schema } from "effect"
import { HostStatus } from "./HostStatus.ts"
import { connectControl, refusalBy } from "./internal/ControlClient.ts"
import { hostHint, runDirectory as namedOrDefault } from "./internal/RunDirectory.ts"

const decodeStatus = Schema.decodeEffect(Schema.fromJsonString(HostStatus))

const ask = (directory: string | undefined, operation: string, ...words: ReadonlyArray<number>) =>
  connectControl({ directory: namedOrDefault(directory), hint: hostHint(directory) }).pipe(
    Effect.flatMap((control) => control.ask(operation, ...words)),
    Effect.catchTag("Refused", (refused) => Effect.fail(refusalBy(refused, operation))),
    Effect.scoped
  )

/**
 * The absolute path of the run directory that is meant: the one that is named, else `VCHAN_HOST`, else `$XDG_RUNTIME_DIR/vchan-host`, else
 * `/dev/shm/vchan-host-<uid>`. Whether a host serves it is not looked at.
 */
export const runDirectory = (directory?: string): string => namedOrDefault(directory).path

/** What the host of a directory holds now. */
export const status = (options?: {
  readonly directory?: string | undefined
}): Effect.Effect<HostStatus, HostMissing | HostLost | SystemRefusal> =>
  Effect.flatMap(ask(options?.directory, "status"), ([json]) => Effect.orDie(decodeStatus(json ?? "")))

/**
 * Destroys a domain with its processes, as `xl destroy` does: its part of the store goes, and no live byte changes. Domain 0 cannot be
 * destroyed.
 */
export const destroy = (options: {
  readonly directory?: string | undefined
  readonly domid: DomId
}): Effect.Effect<void, HostMissing | HostLost | SystemRefusal> => Effect.asVoid(ask(options.directory, "destroy", options.domid))
