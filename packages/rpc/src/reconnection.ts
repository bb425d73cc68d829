/**
 * When a client whose connection was lost tries to make a new one. Owns nothing.
 */
import type { VchanError } from "@vchan/vchan"
import { Duration, Effect, Random, Schedule } from "effect"
import type { VchanRpcError } from "./RpcError.ts"

/** Says when to try next, or to try no more: it is stepped with the error of the lost connection first, then with each attempt's. */
export type Reconnect = Schedule.Schedule<unknown, VchanRpcError>

/** For how long a connection has to be open before the Schedule starts anew, in milliseconds. */
export const settledMillis = 1000

const hopelessBelow: ReadonlySet<VchanError["reason"]["_tag"]> = new Set([
  "RingCorrupt",
  "BadGeometry",
  "BadAdvert",
  "HostLost",
  "HostMissing",
  "Closed"
])

/** Whether trying again is of no use: what serves there does not talk, is not to be trusted, or there is no host any more. */
const isHopeless = ({ reason }: VchanRpcError): boolean => {
  switch (reason._tag) {
    case "HandshakeRefused":
    case "ProtocolViolation":
    case "UnknownMethod":
    case "IncompatibleSchema":
      return true
    case "ConnectFailed":
    case "ConnectionLost":
      return hopelessBelow.has(reason.error.reason._tag)
    default:
      return false
  }
}

/** Doubling from 200 milliseconds to 5 seconds, and a random part of that: those whom one server left do not all come back at once. */
export const defaultReconnect: Reconnect = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.setInputType<VchanRpcError>(),
  Schedule.while(({ input }) => !isHopeless(input)),
  Schedule.modifyDelay(({ duration }) => Effect.map(Random.next, (part) => Duration.times(duration, part)))
)
