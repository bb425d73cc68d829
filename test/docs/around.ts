/**
 * What the pages' fragments of code take for granted: they are checked as if they stood in a program that has all of it.
 */
import { assert, it } from "@effect/vitest"
import {
  Caller,
  Deadline,
  Discovery,
  Idempotent,
  VchanProtocol,
  VchanRpcClient,
  type VchanRpcError,
  VchanRpcServer,
  VchanRpcTest
} from "@vchan/rpc"
import { Listener, type VchanError, VchanSocket, VchanSocketServer } from "@vchan/vchan"
import { Console, Context, Effect, Layer, Result, Schedule, Schema, Stream } from "effect"
import { type RunnerAddress, RunnerServer } from "effect/cluster"
import { Rpc, RpcClient, RpcGroup, RpcSchema, RpcSerialization, RpcServer } from "effect/rpc"
import { Echo } from "../../examples/echo/contract.ts"

export { assert, Caller, Console, Context, Deadline, Discovery, Echo, Effect, Idempotent, it, Layer, Listener, Result, Rpc, RpcClient }
export { RpcGroup, RpcSchema, RpcSerialization, RpcServer, type RunnerAddress, RunnerServer, Schedule, Schema, Stream }
export { VchanProtocol, VchanRpcClient, VchanRpcServer, VchanRpcTest, VchanSocket, VchanSocketServer }

export declare const echo: RpcClient.FromGroup<typeof Echo, VchanRpcError>

export class EchoClient extends Context.Service<EchoClient, RpcClient.FromGroup<typeof Echo, VchanRpcError>>()("EchoClient") {}

export const Greeter = RpcGroup.make(Rpc.make("Greet", { success: Schema.String }))

export const GreeterHandlers = Greeter.toLayer({ Greet: () => Effect.map(Caller, ({ domid }) => `hello, domain ${domid}`) })

export declare const program: Effect.Effect<void, VchanError>

export declare const startServer: Effect.Effect<void>
