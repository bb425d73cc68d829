/**
 * The machine below an emulated host: its pages, its port table and its event queues, as files of the run directory.
 *
 * Belongs to the Scope it was made in; the files go with the directory.
 */
import { type GrantReference, type HypervisorLimits, type Machine, pageSize, type SystemRefusal } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { EventWriter } from "./EventWriter.ts"
import * as libc from "./libc.ts"
import { mapPages } from "./Mapping.ts"
import { bytesPerPort, PortTable } from "./PortTable.ts"
import type { RunDirectory } from "./RunDirectory.ts"
import { systemCall } from "./systemCall.ts"

const zero = new Uint8Array(1)
const memoryHint = "the file system of the run directory is full: close connections, use smaller rings, or name another directory"
const fileHint = "the run directory must be on a Linux file system that can punch holes in files, such as tmpfs: name another one"

/** Files as memory and doorbells. */
export interface HostMachine extends Machine {
  /** Makes the event queue of a process that joins. */
  readonly openQueue: (queue: number) => Effect.Effect<void, SystemRefusal>
  readonly closeQueue: (queue: number) => Effect.Effect<void>
}

/** Makes the files of an empty host. */
export const makeHostMachine = Effect.fnUntraced(function*(
  directory: RunDirectory,
  limits: HypervisorLimits
): Effect.fn.Return<HostMachine, SystemRefusal, Scope.Scope> {
  const pages = yield* makeFile(directory.pages, limits.grants * pageSize)
  const portPages = Math.ceil(limits.ports * bytesPerPort / pageSize)
  const ports = yield* makeFile(directory.ports, portPages * pageSize)
  const { buffer } = yield* mapPages({
    file: { fd: ports, path: directory.ports, pages: portPages },
    references: Array.from({ length: portPages }, (_, page) => page),
    writable: true
  })
  const table = new PortTable(buffer)
  const writer = new EventWriter(directory)

  const free = (first: GrantReference, count: number): boolean =>
    libc.fallocate(pages, libc.FALLOC_FL_PUNCH_HOLE | libc.FALLOC_FL_KEEP_SIZE, first * pageSize, count * pageSize) === 0
  // Page 0 is never granted: it shows whether the file system gives memory back.
  if (!free(0, 1)) return yield* libc.refusal(`fallocate ${directory.pages}`, fileHint)

  return {
    // Memory is taken here and now, for a process that touched pages of a full file system would be killed by SIGBUS.
    allocate: (first, count) =>
      free(first, count) && libc.fallocate(pages, 0, first * pageSize, count * pageSize) === 0
        ? undefined
        : libc.refusal(`fallocate ${directory.pages}`, memoryHint),
    free: (first, count) => void free(first, count),
    clearByte: (reference, offset) => void fs.writeSync(pages, zero, 0, 1, reference * pageSize + offset),
    bound: (port, guest, peer) => table.bind(port, guest, peer),
    unbound: (port) => table.unbind(port),
    raise: (port) => {
      if (table.raise(port, true) && !writer.deliver(table.queueOf(port), port)) table.unmask(port)
    },
    openQueue: (queue) =>
      Effect.suspend(() => {
        if (libc.mkfifo(directory.queue(queue), 0o600) !== 0) return Effect.fail(libc.refusal(`mkfifo ${directory.queue(queue)}`, fileHint))
        writer.retain(queue)
        return Effect.void
      }),
    closeQueue: (queue) =>
      Effect.sync(() => {
        writer.release(queue)
        fs.rmSync(directory.queue(queue), { force: true })
      })
  }
})

const makeFile = (path: string, size: number): Effect.Effect<number, SystemRefusal, Scope.Scope> =>
  Effect.acquireRelease(
    systemCall(`open ${path}`, fileHint, () => fs.openSync(path, "wx+", 0o600)),
    (fd) => Effect.sync(() => fs.closeSync(fd))
  ).pipe(Effect.tap((fd) => systemCall(`ftruncate ${path}`, fileHint, () => fs.ftruncateSync(fd, size))))
