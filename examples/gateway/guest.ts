import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcServer } from "@vchan/rpc"
import { ownDomid } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Layer } from "effect"
import { Primes } from "./contract.ts"
import { PrimesHandlers } from "./handlers.ts"

VchanRpcServer.layer(Primes, { service: "primes", clients: [0] }).pipe(
  Layer.tap(() => Effect.flatMap(ownDomid, (domid) => Console.log(`domain ${domid} serves primes to domain 0 alone`))),
  Layer.provide(PrimesHandlers),
  Layer.provide(Xen.layer),
  Layer.launch,
  NodeRuntime.runMain
)
