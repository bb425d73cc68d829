/**
 * Hosts in directories of their own, and waiting for what they come to hold.
 */
import { HostControl, HostServer, type HostServerError, type HostStatus } from "@vchan/xen-linux"
import { Effect, Schedule, type Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A directory that goes with the Scope. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir(), "vchan-test-"))),
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
