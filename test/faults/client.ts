/**
 * A process that hangs in a call and in a stream of the guest whose domid it is given, and tells its parent how both end. Further
 * arguments are the milliseconds of its keepalive's interval and timeout, if it shall have another than usual.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Effect, Stream } from "effect"
import { Lasting } from "./contract.ts"
import { tell } from "./tell.ts"

const [domain = 0, interval, timeout] = process.argv.slice(2).map(Number)
const keepalive = { interval, timeout }

NodeRuntime.runMain(
  Effect.gen(function*() {
    const guest = yield* VchanRpcClient.make(Lasting, { domain, service: "lasting", keepalive, reconnect: false })
    yield* tell(`said ${yield* guest.Say({ text: "hi" })}`)
    let items = 0
    const counted = Stream.runForEach(guest.Numbers(), () => ++items === 1000 ? tell("streaming") : Effect.void)
    const ends = [["Hang", guest.Hang()], ["Numbers", counted]] as const
    yield* Effect.forEach(ends, ([name, call]) =>
      Effect.catch(call, ({ message, reason }) => {
        const why = reason._tag === "ConnectionLost" ? reason.error.reason._tag : reason._tag
        return tell(`${name} failed: ${why}: ${message}`)
      }), { concurrency: "unbounded", discard: true })
    const late = yield* Effect.flip(guest.Say({ text: "too late" }))
    yield* tell(`Say failed: ${late.reason._tag}`)
    yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(Xen.layer))
)
