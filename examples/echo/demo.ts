/**
 * `npm start`: the echo example as three processes on an emulated host of its own: the host, the guest that serves, the client that calls.
 */
import { Effect } from "effect"
import { demo } from "./processes.ts"

demo(Effect.fnUntraced(function*({ start }) {
  const guest = yield* start("guest", `${import.meta.dirname}/guest.ts`)
  const client = yield* start("client", `${import.meta.dirname}/client.ts`)
  const exitCode = yield* client.exitCode
  yield* guest.stop
  return exitCode
}))
