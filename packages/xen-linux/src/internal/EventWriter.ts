/**
 * Writes ports into the queues of other processes: one FIFO each, `evt.<queue>` in the run directory, carrying 4 bytes a port in the
 * machine's byte order.
 *
 * Who writes to a queue retains it meanwhile: its FIFO is opened at the first event and closed with the last release.
 */
import * as fs from "node:fs"
import * as libc from "./libc.ts"
import type { RunDirectory } from "./RunDirectory.ts"

interface Target {
  /** Undefined before the first event, and once nobody reads the FIFO any more. */
  fd: number | undefined
  users: number
}

/** The queues that this process writes to. */
export class EventWriter {
  private readonly directory: RunDirectory
  private readonly targets = new Map<number, Target>()
  private readonly event = new Uint32Array(1)
  private readonly bytes = new Uint8Array(this.event.buffer)

  constructor(directory: RunDirectory) {
    this.directory = directory
  }

  retain(queue: number): void {
    const target = this.targets.get(queue)
    if (target === undefined) this.targets.set(queue, { fd: undefined, users: 1 })
    else target.users++
  }

  release(queue: number): void {
    const target = this.targets.get(queue)
    if (target === undefined || --target.users > 0) return
    this.targets.delete(queue)
    if (target.fd !== undefined) fs.closeSync(target.fd)
  }

  /** Tells a retained queue's reader of an event; false when nobody reads it, or when it is full. */
  deliver(queue: number, port: number): boolean {
    const target = this.targets.get(queue)
    if (target === undefined) return false
    target.fd ??= open(this.directory.queue(queue))
    if (target.fd === undefined) return false
    this.event[0] = port
    return libc.write(target.fd, this.bytes, 4) === 4
  }
}

/** Without a reader this fails, and so does a later write (Node ignores SIGPIPE): the queue's owner is gone. */
const open = (path: string): number | undefined => {
  try {
    return fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK)
  } catch {
    return undefined
  }
}
