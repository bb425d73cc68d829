import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcServer } from "@vchan/rpc"
import { ownDomid } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer } from "effect"
import { KeyValue } from "./contract.ts"
import { RightsLive } from "./rights.ts"
import * as Store from "./store.ts"

const file = process.argv[2] ?? "key-value.db"

VchanRpcServer.layer(KeyValue, { service: "key-value", clients: "any" }).pipe(
  Layer.tap(() => Effect.flatMap(ownDomid, (domid) => Console.log(`domain ${domid} keeps ${file}`))),
  Layer.provide([Store.layer(file), RightsLive]),
  Layer.provide(Xen.layer),
  Layer.launch,
  NodeRuntime.runMain
)
