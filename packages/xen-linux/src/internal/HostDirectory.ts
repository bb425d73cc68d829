/**
 * The run directory in the host's hands: private to its user, locked against a second host, and empty at start and end.
 *
 * Belongs to the Scope it was taken in. The lock is the kernel's (`flock` on the directory itself), so it ends with a killed host too;
 * the files which that one left are removed by the next.
 */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DirectoryRefused, DirectoryTooLong, HostRunning, type HostServerError } from "../HostServerError.ts"
import * as libc from "./libc.ts"
import { fitsSockets, isHostFile, type RunDirectory, socketPathLimit } from "./RunDirectory.ts"
import { systemCall } from "./systemCall.ts"

const hint = "name a directory of your own with the directory option, VCHAN_HOST or XDG_RUNTIME_DIR"

/** Takes the directory for one host, making it where it is missing. */
export const takeDirectory = (directory: RunDirectory): Effect.Effect<void, HostServerError["reason"], Scope.Scope> =>
  Effect.gen(function*() {
    if (!fitsSockets(directory)) return yield* new DirectoryTooLong({ directory: directory.path, limit: socketPathLimit })
    const made = yield* Effect.acquireRelease(
      systemCall(`mkdir ${directory.path}`, hint, () => makeDirectory(directory.path)),
      (made) => made ? Effect.ignore(Effect.try(() => fs.rmdirSync(directory.path))) : Effect.void
    )
    const detail = made ? undefined : yield* systemCall(`stat ${directory.path}`, hint, () => distrust(directory.path))
    if (detail !== undefined) return yield* new DirectoryRefused({ directory: directory.path, detail })
    const fd = yield* Effect.acquireRelease(
      systemCall(`open ${directory.path}`, hint, () => fs.openSync(directory.path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)),
      (fd) => Effect.sync(() => fs.closeSync(fd))
    )
    if (libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB) !== 0) {
      const refusal = libc.refusal(`flock ${directory.path}`, hint)
      return yield* refusal.code === "EAGAIN" ? new HostRunning({ directory: directory.path }) : refusal
    }
    const clean = systemCall(`rm ${directory.path}/*`, hint, () => removeFiles(directory.path))
    yield* clean
    yield* Effect.addFinalizer(() => Effect.ignore(clean))
  })

const makeDirectory = (directory: string): boolean => {
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
    return true
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false
    throw cause
  }
}

/** Why a directory that was there before is not to be used. */
const distrust = (directory: string): string | undefined => {
  const stat = fs.lstatSync(directory)
  const user = process.geteuid?.()
  if (!stat.isDirectory()) return "it is no directory"
  if (stat.uid !== user) return `it belongs to user ${stat.uid}, and this is user ${user}`
  if ((stat.mode & 0o077) !== 0) return "others may enter it: make it private with chmod 700"
  return undefined
}

const removeFiles = (directory: string): void => {
  for (const name of fs.readdirSync(directory)) {
    if (isHostFile(name)) fs.rmSync(path.join(directory, name), { force: true })
  }
}
