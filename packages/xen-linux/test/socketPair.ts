/**
 * Two ends that stand in for a device and what the kernel does behind it: bytes go both ways, and nothing blocks.
 */
import { Effect, type Scope } from "effect"
import koffi from "koffi"
import * as fs from "node:fs"
import * as libc from "../src/internal/libc.ts"

const socketpair: (domain: number, type: number, protocol: number, fds: Int32Array) => number = koffi.load(null).func("socketpair", "int", [
  "int",
  "int",
  "int",
  "void *"
])

const AF_UNIX = 1
const SOCK_NONBLOCK = 0o4000
const types = { stream: 1, packets: 5 }

/** Both ends: a stream of bytes, or packets that keep their boundaries. The first is closed by its user, the other with the Scope. */
export const socketPair = (type: keyof typeof types): Effect.Effect<readonly [device: number, kernel: number], never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const fds = new Int32Array(2)
      if (socketpair(AF_UNIX, types[type] | SOCK_NONBLOCK, 0, fds) !== 0) throw new Error(`socketpair: ${libc.errnoName()}`)
      return [fds[0] ?? -1, fds[1] ?? -1] as const
    }),
    ([, kernel]) => Effect.sync(() => fs.closeSync(kernel))
  )

/** What has come at an end; undefined where nothing has. */
export const readNow = (fd: number): Uint8Array | undefined => {
  const bytes = new Uint8Array(8192)
  const length = libc.read(fd, bytes, bytes.length)
  return length < 0 ? undefined : bytes.slice(0, length)
}

/** Waits, in bounded time, until something is so. */
export const until = (what: string, condition: () => boolean): Effect.Effect<unknown> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (held) => held }),
    Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die(new Error(`never came: ${what}`)) })
  )
