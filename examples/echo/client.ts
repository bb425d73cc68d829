import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Stream } from "effect"
import { Echo } from "./contract.ts"

const program = Effect.gen(function*() {
  const domain = Number(process.argv[2] ?? 1)
  const echo = yield* VchanRpcClient.make(Echo, { domain, service: "echo", timeout: "30 seconds" })
  yield* Console.log(yield* echo.Say({ text: "hello" }))
  yield* Stream.runForEach(echo.Count({ to: 3 }), (n) => Console.log(`counted ${n}`))
  yield* Effect.catchTag(echo.Say({ text: "HELLO" }), "TooLoud", ({ text }) => Console.log(`${text} was too loud`))
  yield* Effect.timeoutOrElse(echo.Wait(), { duration: "100 millis", orElse: () => Console.log("waited long enough") })
})

program.pipe(Effect.scoped, Effect.provide(Xen.layer), NodeRuntime.runMain)
