/** Copies a served file. */
import { Effect, Schema, Stream } from "effect"
import type { RpcClient } from "effect/rpc"
import { rename, rm } from "node:fs/promises"
import type { Files } from "./contract.ts"
import { hashOf, opened } from "./file.ts"

/** What came is not the file: it changed meanwhile, or its server is not to be trusted. */
export class NotTheFile extends Schema.TaggedError<NotTheFile>()("NotTheFile", { detail: Schema.String }) {
  override get message() {
    return `what came is not the file (${this.detail}): it is thrown away, try again`
  }
}

/**
 * Copies `name` to `target`. What has come gathers in `<target>.part`, and is gone on with if the copy is made again; it becomes `target` only when
 * its checksum is right. `progress` is told how much there is, of how much.
 */
export const download = Effect.fnUntraced(function*<E>(
  files: RpcClient.FromGroup<typeof Files, E>,
  name: string,
  target: string,
  progress: (done: number, size: number) => void
) {
  const { sha256, size } = yield* files.Stat({ name })
  const part = `${target}.part`
  const file = yield* Effect.orDie(opened(part, "a+"))
  const hash = yield* hashOf(file)
  let done = (yield* Effect.promise(() => file.stat())).size
  progress(done, size)
  const refuse = (detail: string) => Effect.andThen(Effect.promise(() => rm(part)), Effect.fail(new NotTheFile({ detail })))
  yield* Stream.runForEach(
    files.Read({ name, from: done }),
    Effect.fnUntraced(function*(bytes) {
      done += bytes.length
      if (done > size) return yield* refuse(`over ${size} bytes`)
      yield* Effect.promise(() => file.appendFile(bytes))
      hash.update(bytes)
      progress(done, size)
    })
  )
  if (hash.digest("hex") !== sha256) return yield* refuse(`its checksum is not ${sha256}`)
  yield* Effect.promise(() => file.sync())
  yield* Effect.promise(() => rename(part, target))
}, Effect.scoped)
