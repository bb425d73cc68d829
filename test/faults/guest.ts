/**
 * A process that serves `lasting` to anybody, and tells its parent what befalls its handlers. Its argument is the milliseconds of its
 * keepalive's interval and timeout, if it shall have another than usual.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcServer } from "@vchan/rpc"
import { ownDomid } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Effect, Layer, Stream } from "effect"
import { Lasting } from "./contract.ts"
import { tell } from "./tell.ts"

const [interval, timeout] = process.argv.slice(2).map(Number)
const keepalive = { interval, timeout }

const handlers = Lasting.toLayer({
  Say: ({ text }) => Effect.succeed(text),
  Hang: () => Effect.never.pipe(Effect.onInterrupt(() => tell("Hang interrupted"))),
  Numbers: () => Stream.fromIterable(endless()).pipe(Stream.rechunk(1), Stream.ensuring(tell("Numbers ended"))),
  Sum: ({ numbers }) =>
    Stream.tap(numbers, (number) => tell(`took ${number}`)).pipe(
      Stream.runFold(() => 0, (sum, number) => sum + number),
      Effect.onExit((exit) => tell(`Sum ${exit._tag}`))
    )
})

function* endless() {
  for (let n = 0;; n = (n + 1) | 0) yield n
}

const ready = Layer.effectDiscard(Effect.flatMap(Effect.orDie(ownDomid), (domid) => tell(`ready ${domid}`)))

ready.pipe(
  Layer.provide(VchanRpcServer.layer(Lasting, { service: "lasting", clients: "any", keepalive })),
  Layer.provide(handlers),
  Layer.provide(Xen.layer),
  Layer.launch,
  NodeRuntime.runMain
)
