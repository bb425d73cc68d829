/**
 * The file-copy example on an emulated host: domain 1 serves a directory, and another domain copies a file from it. It is killed on the way, and starts again.
 */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { demo } from "../echo/processes.ts"

demo(Effect.fnUntraced(function*({ directory, start }) {
  const served = `${directory}/served`
  mkdirSync(served)
  writeFileSync(`${served}/disk.img`, randomBytes(128 * 1024 * 1024))
  const guest = yield* start("guest", `${import.meta.dirname}/guest.ts`, [served])
  const copy = start("client", `${import.meta.dirname}/client.ts`, ["1", "disk.img", `${directory}/copy.img`])
  const first = yield* copy
  yield* Effect.sleep("500 millis")
  yield* first.kill
  const again = yield* copy
  const exitCode = yield* again.exitCode
  yield* guest.stop
  return exitCode
}))
