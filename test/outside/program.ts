/**
 * A user's program against the published packages: starts an emulated host, serves in one domain, calls from another, and checks the answer.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Caller, VchanRpcClient, VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen, HostServer } from "@vchan/xen-linux"
import { Console, Effect, Layer, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { mkdtempSync, rmSync } from "node:fs"

const Echo = RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }))

const EchoHandlers = Echo.toLayer({
  Say: ({ text }) => Effect.map(Caller, ({ domid }) => `domain ${domid} said ${text}`)
})

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync("/dev/shm/vchan-outside-")),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const program = Effect.gen(function*() {
  const host = yield* HostServer.make({ directory: yield* directory })
  yield* Layer.build(
    VchanRpcServer.layer(Echo, { service: "echo", clients: [7] }).pipe(
      Layer.provide(EchoHandlers),
      Layer.provide(EmulatedXen.layer({ directory: host.directory, domid: 5 }))
    )
  )
  const answer = yield* Effect.gen(function*() {
    const echo = yield* VchanRpcClient.make(Echo, { domain: 5, service: "echo" })
    return yield* echo.Say({ text: "hello" })
  }).pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ directory: host.directory, domid: 7 })))
  yield* Console.log(answer)
  if (answer !== "domain 7 said hello") return yield* Effect.die(new Error("the answer is wrong"))
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
