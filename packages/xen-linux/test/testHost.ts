/**
 * Hosts in directories of their own, and waiting for what they come to hold.
 */
import { HostControl, HostServer, type HostServerError, type HostStatus } from "@vchan/xen-linux"
import { Effect, Schedule, type Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** Where there is room for the pages of hundreds of connections: a container's /dev/shm may have 64 MiB. */
const base = (): string => {
  const { bavail, bsize } = fs.existsSync("/dev/shm") ? fs.statfsSync("/dev/shm") : { bavail: 0, bsize: 0 }
  return bavail * bsize < 2 ** 30 ? os.tmpdir() : "/dev/shm"
}

/** A directory that goes with the Scope. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(base(), "vchan-test-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A host in this process. */
export const testHost = (
  options?: Omit<HostServer.HostServerOptions, "directory">
): Effect.Effect<HostServer.HostServer["Service"], HostServerError, Scope.Scope> =>
  Effect.flatMap(temporaryDirectory, (directory) => HostServer.make({ ...options, directory }))

/** Waits, in bounded time, until the host's status is as wanted. */
export const untilStatus = (directory: string, what: string, wanted: (status: HostStatus) => boolean): Effect.Effect<HostStatus> =>
  HostControl.status({ directory }).pipe(
    Effect.repeat({ until: wanted, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () =>
        Effect.flatMap(
          HostControl.status({ directory }),
          (status) => Effect.die(new Error(`never came: ${what}, but ${JSON.stringify(status)}`))
        )
    }),
    Effect.orDie
  )

/** What a domain that has just joined, with one process, leaves when it is gone. */
export const isEmpty = (status: HostStatus): boolean =>
  status.domains.length === 1 &&
  status.processes + status.grants + status.mappings + status.ports + status.watches + status.transactions === 0
