/**
 * The grant table of a domain of Xen, through the kernel's devices gntalloc, which lends pages, and gntdev, which maps those of others.
 *
 * Pages are this process's for as long as they are mapped: at the end of a mapping, and at the process's own, the kernel clears the byte,
 * sends the event and takes the pages back. Lent pages that the other domain still maps stay until it lets go of them.
 */
import {
  checkPageCount,
  type DomId,
  type GrantReference,
  GrantsExhausted,
  type GrantTable,
  GrantTableError,
  NoSuchGrant,
  pageSize,
  type SystemRefusal,
  type UnmapNotify
} from "@vchan/xen"
import { Effect, Option, Schedule, type Scope } from "effect"
import * as fs from "node:fs"
import * as libc from "./libc.ts"
import { holdDevice, moduleDevice } from "./openDevice.ts"
import {
  decodeIndex,
  decodeReferences,
  encodeAllocGref,
  encodeMapGrantRef,
  encodeRange,
  encodeUnmapNotify,
  GNTALLOC_ALLOC_GREF,
  GNTALLOC_DEALLOC_GREF,
  GNTDEV_MAP_GRANT_REF,
  GNTDEV_UNMAP_GRANT_REF,
  SET_UNMAP_NOTIFY
} from "./xenDevices.ts"

const allocLimit = "/sys/module/xen_gntalloc/parameters/limit"

/** How long a page that its owner's host has swapped out is waited for. */
const swapped = { while: (refusal: SystemRefusal) => refusal.code === "EAGAIN", schedule: Schedule.spaced("1 millis"), times: 1000 }

/** The grant table, through the devices in a directory. They are open until the Scope ends. */
export const makeGrantTable = Effect.fnUntraced(
  function*(directory: string): Effect.fn.Return<GrantTable["Service"], never, Scope.Scope> {
    // Who only connects needs no gntalloc, and who only serves no gntdev: one that is missing is told of when it is asked for.
    const gntalloc = yield* Effect.result(holdDevice(moduleDevice(directory, "gntalloc")))
    const gntdev = yield* Effect.result(holdDevice(moduleDevice(directory, "gntdev")))

    return {
      share: ({ count, domid, notify }) =>
        Effect.flatMap(Effect.fromResult(gntalloc), (fd) =>
          Effect.acquireUseRelease(
            allocate(fd, domid, count),
            ({ index, references }) =>
              Effect.gen(function*() {
                const buffer = yield* mapPages({ fd, index, count, writable: true })
                yield* setNotify(fd, index, notify)
                return { references, buffer }
              }),
            // At once, so that the pages live exactly as long as they are mapped here.
            ({ index }) => Effect.sync(() => libc.ioctl(fd, GNTALLOC_DEALLOC_GREF, encodeRange(index, count)))
          )).pipe(
            Effect.mapError((reason) => new GrantTableError({ reason }))
          ),
      map: ({ domid, notify, references, writable }) =>
        Effect.gen(function*() {
          const fd = yield* Effect.fromResult(gntdev)
          const map = (references: ReadonlyArray<GrantReference>) => mapReferences(fd, domid, references, writable)
          const { buffer, index } = yield* map(references).pipe(
            Effect.catchIf((refusal) => refusal.code === "EINVAL", (refusal) =>
              // Of many pages, the kernel does not say which one was refused.
              Effect.flatMap(
                Effect.findFirst(references, (reference) => Effect.isFailure(Effect.scoped(map([reference])))),
                (found) => Effect.fail(Option.isNone(found) ? refusal : new NoSuchGrant({ domid, reference: found.value }))
              ))
          )
          yield* setNotify(fd, index, notify)
          return { references, buffer }
        }).pipe(Effect.mapError((reason) => new GrantTableError({ reason })))
    }
  }
)

interface Allocation {
  readonly index: number
  readonly references: ReadonlyArray<GrantReference>
}

/** Fresh pages, zeroed by the kernel, that nobody has mapped yet. */
const allocate = (fd: number, domid: DomId, count: number): Effect.Effect<Allocation, GrantsExhausted | SystemRefusal> =>
  Effect.suspend(() => {
    checkPageCount(count)
    const argument = encodeAllocGref(domid, count)
    if (libc.ioctl(fd, GNTALLOC_ALLOC_GREF, argument) === 0) {
      return Effect.succeed({ index: decodeIndex(argument), references: decodeReferences(argument, count) })
    }
    const refusal = libc.refusal(`share ${count} pages with domain ${domid}`, `close connections, or raise the limit in ${allocLimit}`)
    const limit = refusal.code === "ENOSPC" ? readLimit() : undefined
    return Effect.fail(
      limit === undefined
        ? refusal
        : new GrantsExhausted({ limit, hint: `echo a larger one to ${allocLimit}, or load the module xen-gntalloc with limit=…` })
    )
  })

const readLimit = (): number | undefined => {
  try {
    const limit = Number(fs.readFileSync(allocLimit, "utf8"))
    return Number.isSafeInteger(limit) ? limit : undefined
  } catch {
    return undefined
  }
}

/** Maps the pages; where any is refused, the system says EINVAL. */
const mapReferences = Effect.fnUntraced(function*(
  fd: number,
  domid: DomId,
  references: ReadonlyArray<GrantReference>,
  writable: boolean
) {
  const count = references.length
  const index = yield* Effect.acquireRelease(
    Effect.suspend(() => {
      const argument = encodeMapGrantRef(domid, references)
      return libc.ioctl(fd, GNTDEV_MAP_GRANT_REF, argument) === 0
        ? Effect.succeed(decodeIndex(argument))
        : Effect.fail(
          libc.refusal(`map ${count} pages of domain ${domid}`, "map fewer pages at once, or raise the module xen-gntdev's limit")
        )
    }),
    (index) => Effect.sync(() => libc.ioctl(fd, GNTDEV_UNMAP_GRANT_REF, encodeRange(index, count)))
  )
  return { index, buffer: yield* mapPages({ fd, index, count, writable }) }
})

/** Memory of this process, until the Scope ends: detached then, so that a late touch finds an empty buffer, and unmapped. */
const mapPages = (options: {
  readonly fd: number
  readonly index: number
  readonly count: number
  readonly writable: boolean
}): Effect.Effect<ArrayBuffer, SystemRefusal, Scope.Scope> => {
  const { count, fd, index, writable } = options
  const length = count * pageSize
  const protection = libc.PROT_READ | (writable ? libc.PROT_WRITE : 0)
  return Effect.acquireRelease(
    Effect.suspend(() => {
      const address = libc.mmap(0n, length, protection, libc.MAP_SHARED, fd, index)
      return address === libc.MAP_FAILED
        ? Effect.fail(
          libc.refusal(`mmap ${count} pages`, "the domain is out of memory or of mappings: close connections, use smaller rings")
        )
        : Effect.succeed({ address, buffer: libc.viewMemory(address, length) })
    }).pipe(Effect.retry(swapped)),
    ({ address, buffer }) =>
      Effect.sync(() => {
        buffer.transfer(0)
        libc.munmap(address, length)
      })
  ).pipe(Effect.map(({ buffer }) => buffer))
}

const setNotify = (fd: number, index: number, notify: UnmapNotify | undefined): Effect.Effect<void, SystemRefusal> =>
  Effect.suspend(() =>
    notify === undefined || libc.ioctl(fd, SET_UNMAP_NOTIFY, encodeUnmapNotify(index, notify)) === 0
      ? Effect.void
      : Effect.fail(libc.refusal(`set an unmap notify on port ${notify.port}`, "it takes a bound port, and pages mapped for writing"))
  )
