/** Serves the files of one directory. */
import { Caller } from "@vchan/rpc"
import { Effect, Stream } from "effect"
import { join } from "node:path"
import { Facts, Files, NoSuchFile, ReadOnly } from "./contract.ts"
import { bytesOf, flags, hashOf, opened } from "./file.ts"
import { incoming } from "./incoming.ts"

/** Everybody who is admitted reads; only `writers` write, and may replace what is there. */
export const filesIn = (directory: string, writers: ReadonlyArray<number>) => {
  // Why a file cannot be read is not the client's to know.
  const find = Effect.fnUntraced(function*(name: string) {
    const handle = yield* Effect.mapError(opened(join(directory, name), flags.read), () => new NoSuchFile({ name }))
    const stat = yield* Effect.promise(() => handle.stat())
    if (!stat.isFile()) return yield* new NoSuchFile({ name })
    return { handle, size: stat.size }
  })

  // Each domain's own, under a name that no client can ask for.
  const begin = Effect.fnUntraced(function*(name: string, facts: Facts) {
    const { domid } = yield* Caller
    if (!writers.includes(domid)) return yield* new ReadOnly({ domid })
    const part = join(directory, `.${name}.${domid}.part`)
    const file = yield* Effect.mapError(opened(part, flags.append), () => new ReadOnly({ domid }))
    return yield* incoming(file, part, join(directory, name), facts)
  })

  return Files.toLayer({
    Stat: Effect.fnUntraced(function*({ name }) {
      const { handle, size } = yield* find(name)
      return new Facts({ size, sha256: (yield* hashOf(handle)).digest("hex") })
    }, Effect.scoped),
    Read: ({ from, name }) => Stream.unwrap(Effect.map(find(name), ({ handle }) => bytesOf(handle, Math.max(from, 0)))),
    Begun: ({ facts, name }) => Effect.scoped(Effect.map(begin(name, facts), ({ begun }) => begun)),
    Write: ({ facts, name, rest }) => Effect.scoped(Effect.flatMap(begin(name, facts), ({ complete }) => complete(rest)))
  })
}
