/** Files as streams of bytes, and as what they hash to. What is opened is closed with its Scope. */
import { Data, Effect, type Scope, Stream } from "effect"
import { createHash, type Hash } from "node:crypto"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"

/** For reading, and for adding to what is there. No link is followed, and a pipe is not waited for. */
export const flags = {
  read: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  append: constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW
}

/** How much of a file travels at once. */
const piece = 64 * 1024

/** What the system says of a file that cannot be opened. */
export class CannotOpen extends Data.TaggedError("CannotOpen")<{ readonly message: string }> {}

/** Opens a file for as long as the Scope lives. */
export const opened = (path: string, flags: number): Effect.Effect<FileHandle, CannotOpen, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => open(path, flags),
      catch: (error) => new CannotOpen({ message: error instanceof Error ? error.message : String(error) })
    }),
    (handle) => Effect.promise(() => handle.close())
  )

/** A file's bytes, from an offset on. */
export const bytesOf = (handle: FileHandle, from: number): Stream.Stream<Uint8Array> =>
  Stream.unfold(
    from,
    Effect.fnUntraced(function*(at) {
      const { buffer, bytesRead } = yield* Effect.promise(() => handle.read(new Uint8Array(piece), 0, piece, at))
      return bytesRead === 0 ? undefined : [buffer.subarray(0, bytesRead), at + bytesRead] as const
    })
  )

/** The hash of what a file holds now; more may be added to it. */
export const hashOf = Effect.fnUntraced(function*(handle: FileHandle): Effect.fn.Return<Hash> {
  const hash = createHash("sha256")
  yield* Stream.runForEach(bytesOf(handle, 0), (bytes) => Effect.sync(() => hash.update(bytes)))
  return hash
})
