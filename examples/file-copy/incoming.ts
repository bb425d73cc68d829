/** A file that comes from the other side, which need not be honest. */
import { Effect, Stream } from "effect"
import { type FileHandle, rename, rm } from "node:fs/promises"
import { type Facts, NotTheFile } from "./contract.ts"
import { hashOf } from "./file.ts"

/**
 * What is to be `target` gathers in the open file `part`: `begun` tells how much is there already, and `complete` takes the rest. `part` becomes `target`
 * when it is what `facts` says, and not before. It stays when the rest is interrupted, and goes when it is another file.
 */
export const incoming = Effect.fnUntraced(function*(file: FileHandle, part: string, target: string, { sha256, size }: Facts) {
  const hash = yield* hashOf(file)
  const begun = (yield* Effect.promise(() => file.stat())).size
  const refuse = (detail: string) => Effect.andThen(Effect.promise(() => rm(part)), Effect.fail(new NotTheFile({ detail })))

  const complete = Effect.fnUntraced(function*<E, R>(rest: Stream.Stream<Uint8Array, E, R>) {
    let done = begun
    yield* Stream.runForEach(
      rest,
      Effect.fnUntraced(function*(bytes) {
        done += bytes.length
        // No more than was promised ever comes to the disk.
        if (done > size) return yield* refuse(`over ${size} bytes`)
        yield* Effect.promise(() => file.appendFile(bytes))
        hash.update(bytes)
      })
    )
    if (hash.digest("hex") !== sha256) return yield* refuse(`its checksum is not ${sha256}`)
    yield* Effect.promise(() => file.sync())
    yield* Effect.promise(() => rename(part, target))
  })
  return { begun, complete }
})
