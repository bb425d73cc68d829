import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Caller, VchanRpcServer } from "@vchan/rpc"
import { ownDomid } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer, Stream } from "effect"
import { Echo, TooLoud } from "./contract.ts"

const EchoHandlers = Echo.toLayer({
  Say: Effect.fnUntraced(function*({ text }) {
    const caller = yield* Caller
    if (text === text.toUpperCase()) return yield* new TooLoud({ text })
    return `domain ${caller.domid} said ${text}`
  }),
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => Effect.onInterrupt(Effect.never, () => Console.log("Wait was interrupted: its caller no longer waits"))
})

VchanRpcServer.layer(Echo, { service: "echo", clients: "any" }).pipe(
  Layer.tap(() => Effect.flatMap(ownDomid, (domid) => Console.log(`domain ${domid} serves echo`))),
  Layer.provide(EchoHandlers),
  Layer.provide(Xen.layer),
  Layer.launch,
  NodeRuntime.runMain
)
