/**
 * The key-value example on an emulated host: domain 1 keeps the store, domain 5 watches what is shared, domains 0, 5 and 6 read and write.
 */
import { Effect } from "effect"
import { demo } from "../echo/processes.ts"

demo(Effect.fnUntraced(function*({ directory, start }) {
  const guest = yield* start("guest", `${import.meta.dirname}/guest.ts`, [`${directory}/demo.db`], { VCHAN_DOMID: "1" })
  const as = (domid: number, ...words: Array<string>) =>
    start(`dom ${domid}`, `${import.meta.dirname}/client.ts`, ["1", ...words], { VCHAN_DOMID: String(domid) })
  const run = (domid: number, ...words: Array<string>) => Effect.flatMap(as(domid, ...words), ({ exitCode }) => exitCode)

  const watcher = yield* as(5, "watch", "shared/")
  yield* run(0, "set", "shared/motto", "share nothing but memory")
  yield* run(5, "set", "shared/motto", "mine")
  yield* run(5, "set", "5/diary", "a quiet day")
  yield* run(5, "get", "5/diary")
  yield* run(6, "get", "5/diary")
  const exitCode = yield* run(0, "remove", "shared/motto")
  yield* watcher.stop
  yield* guest.stop
  return exitCode
}))
