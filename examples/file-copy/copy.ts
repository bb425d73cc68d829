/** Copies files from and to a served directory. A copy that was interrupted goes on where it was when it is made again. */
import { Effect, Stream } from "effect"
import type { RpcClient } from "effect/rpc"
import { constants } from "node:fs"
import { Facts, type Files } from "./contract.ts"
import { bytesOf, flags, hashOf, opened } from "./file.ts"
import { incoming } from "./incoming.ts"

/** Is told how much there is, of how much. */
export type Progress = (done: number, size: number) => void

/** Tells of what passes through. */
const counted = <E>(bytes: Stream.Stream<Uint8Array, E>, from: number, size: number, progress: Progress) => {
  let done = from
  progress(done, size)
  return Stream.tap(bytes, ({ length }) => Effect.sync(() => progress(done += length, size)))
}

/** Copies the served `name` to the file `target`. */
export const download = Effect.fnUntraced(
  function*<E>(files: RpcClient.FromGroup<typeof Files, E>, name: string, target: string, progress: Progress) {
    const facts = yield* files.Stat({ name })
    const part = `${target}.part`
    const file = yield* opened(part, flags.append)
    const { begun, complete } = yield* incoming(file, part, target, facts)
    yield* complete(counted(files.Read({ name, from: begun }), begun, facts.size, progress))
  },
  Effect.scoped
)

/** Copies the file `source` to the served `name`. */
export const upload = Effect.fnUntraced(
  function*<E>(files: RpcClient.FromGroup<typeof Files, E>, source: string, name: string, progress: Progress) {
    const file = yield* opened(source, constants.O_RDONLY)
    const { size } = yield* Effect.promise(() => file.stat())
    const facts = new Facts({ size, sha256: (yield* hashOf(file)).digest("hex") })
    const begun = yield* files.Begun({ name, facts })
    yield* files.Write({ name, facts, rest: counted(bytesOf(file, begun), begun, size, progress) })
  },
  Effect.scoped
)
