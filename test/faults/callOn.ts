/**
 * A process that calls `restarting` of the domain that it is given, on and on, and tells of each connection and of the first answer on it. It
 * fails when a call does.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Effect, Stream } from "effect"
import { Restarting } from "./contract.ts"
import { tell } from "./tell.ts"

NodeRuntime.runMain(
  Effect.gen(function*() {
    const options = { domain: Number(process.argv[2]), service: "restarting", timeout: 60_000 }
    const { changes, client } = yield* VchanRpcClient.connect(Restarting, options)
    let opened = 0
    let answered = 0
    const follow = Stream.runForEach(changes, ({ _tag }) => {
      if (_tag === "Open") opened++
      return tell(_tag === "Open" ? `open ${opened}` : _tag)
    })
    yield* Effect.forkScoped(follow)
    for (let key = 0;; key++) {
      yield* client.Get({ key })
      if (answered === opened) continue
      answered = opened
      yield* tell(`answered on connection ${opened}`)
    }
  }).pipe(Effect.scoped, Effect.provide(Xen.layer))
)
