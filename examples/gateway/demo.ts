/**
 * The gateway example as four processes: an emulated host, the guest that works, the gateway in domain 0, and a client outside.
 */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { demo } from "../echo/processes.ts"

demo(Effect.fnUntraced(function*({ start }) {
  const env = { GATEWAY_TOKEN: randomUUID() }
  const guest = yield* start("guest", `${import.meta.dirname}/guest.ts`)
  const gateway = yield* start("gateway", `${import.meta.dirname}/gateway.ts`, ["1"], { ...env, VCHAN_DOMID: "0" })
  const client = yield* start("client", `${import.meta.dirname}/client.ts`, [], env)
  const exitCode = yield* client.exitCode
  yield* gateway.stop
  yield* guest.stop
  return exitCode
}))
