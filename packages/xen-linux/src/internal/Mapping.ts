/**
 * Pages of a file as memory of this process.
 *
 * A mapping belongs to the Scope it was made in. At its end the buffer is detached first, so that a late touch finds an empty buffer
 * where it would have found unmapped memory, and then the range is unmapped.
 */
import { type GrantReference, pageSize, type SystemRefusal } from "@vchan/xen"
import { Effect, Result, type Scope } from "effect"
import * as fs from "node:fs"
import * as libc from "./libc.ts"
import { systemCall } from "./systemCall.ts"

/** An open file of pages, one after the other. */
export interface PageFile {
  readonly fd: number
  /** For messages. */
  readonly path: string
  /** How many pages the file has room for. */
  readonly pages: number
}

/** Opens a file of pages that the host has made. */
export const openPages = (path: string): Effect.Effect<PageFile, SystemRefusal, Scope.Scope> =>
  Effect.acquireRelease(
    systemCall(`open ${path}`, "the host must be of this user, and run", () => {
      const fd = fs.openSync(path, "r+")
      return { fd, path, pages: Math.floor(fs.fstatSync(fd).size / pageSize) }
    }),
    ({ fd }) => Effect.sync(() => fs.closeSync(fd))
  )

interface Range {
  readonly address: bigint
  readonly length: number
}

const hint = "the machine is out of memory or of mappings (vm.max_map_count): close connections, use smaller rings, or raise the limit"

/** Mapped pages. */
export interface Mapping {
  readonly buffer: ArrayBuffer
  /** Puts private memory with the same content in the pages' place: the buffer can still be used, and nobody else sees it any more. */
  readonly isolate: () => void
}

/**
 * Maps pages of a file one after the other, whatever their places in it. Every page must be below `file.pages`: touching one beyond the
 * file's end kills the process.
 */
export const mapPages = (options: {
  readonly file: PageFile
  readonly references: ReadonlyArray<GrantReference>
  readonly writable: boolean
}): Effect.Effect<Mapping, SystemRefusal, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() =>
      Effect.fromResult(
        Result.map(mapRange(options), (range) => ({ range, buffer: libc.viewMemory(range.address, range.length) }))
      )
    ),
    ({ buffer, range }) =>
      Effect.sync(() => {
        buffer.transfer(0)
        libc.munmap(range.address, range.length)
      })
  ).pipe(Effect.map(({ buffer, range }) => ({
    buffer,
    isolate: () => {
      if (buffer.detached) return
      const content = new Uint8Array(buffer).slice()
      const flags = libc.MAP_PRIVATE | libc.MAP_ANONYMOUS | libc.MAP_FIXED
      const mapped = libc.mmap(range.address, range.length, libc.PROT_READ | libc.PROT_WRITE, flags, -1, 0)
      if (mapped !== libc.MAP_FAILED) new Uint8Array(buffer).set(content)
    }
  })))

const mapRange = (options: {
  readonly file: PageFile
  readonly references: ReadonlyArray<GrantReference>
  readonly writable: boolean
}): Result.Result<Range, SystemRefusal> => {
  const { file, references } = options
  const outside = references.find((reference) => !(reference >= 0 && reference < file.pages))
  if (outside !== undefined || references.length === 0) throw new RangeError(`no page ${outside ?? "at all"} to map in ${file.path}`)
  const length = references.length * pageSize
  const protection = libc.PROT_READ | (options.writable ? libc.PROT_WRITE : 0)
  // The whole range is reserved first, so that its pieces find their places free side by side.
  const reserve = libc.MAP_PRIVATE | libc.MAP_ANONYMOUS | libc.MAP_NORESERVE
  const address = libc.mmap(0n, length, libc.PROT_NONE, reserve, -1, 0)
  if (address === libc.MAP_FAILED) return Result.fail(libc.refusal(`mmap of ${length} bytes`, hint))
  for (const run of runsOf(references)) {
    const at = address + BigInt(run.index * pageSize)
    const flags = libc.MAP_SHARED | libc.MAP_FIXED
    if (libc.mmap(at, run.count * pageSize, protection, flags, file.fd, run.first * pageSize) === libc.MAP_FAILED) {
      const failure = libc.refusal(`mmap ${file.path}`, hint)
      libc.munmap(address, length)
      return Result.fail(failure)
    }
  }
  return Result.succeed({ address, length })
}

/** The references in runs of consecutive ones: each run is one piece to map. */
function* runsOf(references: ReadonlyArray<GrantReference>) {
  let index = 0
  while (index < references.length) {
    const first = references[index] ?? 0
    let count = 1
    while (references[index + count] === first + count) count++
    yield { index, first, count }
    index += count
  }
}
