/**
 * An emulated host in this process, and the programs that meet on it. Its directory, in which there is room for sockets too, ends with the
 * Scope.
 */
import { HostServer } from "@vchan/xen-linux"
import { Effect, FileSystem } from "effect"
import { fileURLToPath } from "node:url"
import type { Command } from "./Agent.ts"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** A program of the bench, as a command. */
export const program = (name: string, ...args: ReadonlyArray<string>): Command => ({ argv: [process.execPath, here(name), ...args] })

/** The command `vchan`. */
export const vchan = (...args: ReadonlyArray<string>): Command => program("../packages/cli/bin/vchan.js", ...args)

/** Starts a host and gives its directory. What is started from now on finds it. */
export const host = Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped({ directory: "/dev/shm", prefix: "vchan-bench-" })
  yield* Effect.orDie(HostServer.make({ directory }))
  process.env.VCHAN_HOST = directory
  return directory
}).pipe(Effect.orDie)
