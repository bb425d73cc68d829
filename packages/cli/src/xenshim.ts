/**
 * The library that lets C programs over libxenvchan join an emulated host: built from `native/` with the user's own compiler, because it
 * must fit the user's libc.
 *
 * It is kept in the user's cache under the hash of its source, and so built once. Nothing removes it: it is small.
 */
import { Effect, FileSystem, Path, type PlatformError, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { createHash } from "node:crypto"
import * as os from "node:os"
import { fileURLToPath } from "node:url"

/** The library cannot be built, or not be used where it would lie. */
export class XenshimUnavailable extends Schema.TaggedError<XenshimUnavailable>()("XenshimUnavailable", {
  detail: Schema.String
}) {
  override get message(): string {
    return `no library to join C programs with: ${this.detail}`
  }
}

const sources = ["guest.c", "grants.c", "events.c"]

/** The path of the library. It is built where it is not there yet. */
export const xenshim: Effect.Effect<
  string,
  XenshimUnavailable | PlatformError.PlatformError,
  FileSystem.FileSystem | Path.Path | ChildProcessSpawner.ChildProcessSpawner
> = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const native = fileURLToPath(new URL("../native", import.meta.url))
  const hash = createHash("sha256")
  for (const name of [...sources, "xenshim.h"]) hash.update(yield* fs.readFile(path.join(native, name)))
  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "vchan")
  const library = path.join(cache, `xenshim-${hash.digest("hex").slice(0, 16)}-${process.arch}.so`)
  // LD_PRELOAD is a list that knows no quotes.
  if (/[\s:]/.test(library)) {
    return yield* new XenshimUnavailable({ detail: `there must be no space or colon in ${library}: set XDG_CACHE_HOME` })
  }
  if (yield* fs.exists(library)) return library
  yield* fs.makeDirectory(cache, { recursive: true, mode: 0o700 })
  const folder = yield* fs.makeTempDirectoryScoped({ directory: cache, prefix: "build-" })
  const built = path.join(folder, "xenshim.so")
  yield* compile([...sources.map((name) => path.join(native, name)), "-o", built])
  // Whole or not there, also for another process that builds it now.
  yield* fs.rename(built, library)
  return library
}).pipe(Effect.scoped)

const compile = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const [cc = "cc", ...words] = (process.env.CC ?? "").split(/\s+/).filter((word) => word !== "")
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const command = ChildProcess.make(cc, [...words, "-shared", "-fPIC", "-O2", "-pthread", ...args, "-ldl"], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit"
  })
  const code = yield* Effect.mapError(spawner.exitCode(command), (error) =>
    error.reason._tag === "NotFound"
      ? new XenshimUnavailable({ detail: `it is built with a C compiler, and there is no '${cc}': sudo apt-get install gcc libc6-dev` })
      : error)
  if (code !== 0) {
    return yield* new XenshimUnavailable({
      detail: `'${cc}' failed with exit code ${code}: are the headers of the C library there (sudo apt-get install libc6-dev)?`
    })
  }
})
