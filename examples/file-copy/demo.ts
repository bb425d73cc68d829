/**
 * The file-copy example on an emulated host: domain 1 serves a directory; domain 5 copies a file from it, is killed on the way and starts again, and copies
 * it back under another name.
 */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { demo } from "../echo/processes.ts"

demo(Effect.fnUntraced(function*({ directory, start }) {
  const served = `${directory}/served`
  const copied = `${directory}/copied.img`
  mkdirSync(served)
  writeFileSync(`${served}/disk.img`, randomBytes(64 * 1024 * 1024))
  const guest = yield* start("guest", `${import.meta.dirname}/guest.ts`, [served, "5"], { VCHAN_DOMID: "1" })
  const client = (...words: Array<string>) => start("client", `${import.meta.dirname}/client.ts`, ["1", ...words], { VCHAN_DOMID: "5" })

  const first = yield* client("get", "disk.img", copied)
  yield* Effect.sleep("500 millis")
  yield* first.kill
  const second = yield* client("get", "disk.img", copied)
  yield* second.exitCode
  const third = yield* client("put", copied, "back.img")
  const exitCode = yield* third.exitCode
  yield* guest.stop
  return exitCode
}))
