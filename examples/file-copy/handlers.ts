/** Serves the files of one directory. */
import { Effect, Stream } from "effect"
import { constants } from "node:fs"
import { join } from "node:path"
import { Facts, Files, NoSuchFile } from "./contract.ts"
import { bytesOf, hashOf, opened } from "./file.ts"

// Whatever a link points to is not in the directory, and a pipe would never end.
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export const filesIn = (directory: string) => {
  // Why a file cannot be read is not the client's to know.
  const find = Effect.fnUntraced(function*(name: string) {
    const handle = yield* Effect.mapError(opened(join(directory, name), flags), () => new NoSuchFile({ name }))
    const stat = yield* Effect.promise(() => handle.stat())
    if (!stat.isFile()) return yield* new NoSuchFile({ name })
    return { handle, size: stat.size }
  })

  return Files.toLayer({
    Stat: Effect.fnUntraced(function*({ name }) {
      const { handle, size } = yield* find(name)
      return new Facts({ size, sha256: (yield* hashOf(handle)).digest("hex") })
    }, Effect.scoped),
    Read: ({ from, name }) => Stream.unwrap(Effect.map(find(name), ({ handle }) => bytesOf(handle, Math.max(from, 0))))
  })
}
