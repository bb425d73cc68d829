/**
 * The service that clients call while processes are killed: bytes and numbers that tell their place.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const Places = RpcGroup.make(
  Rpc.make("Bytes", { payload: { from: Schema.Int, length: Schema.Int }, success: Schema.Uint8Array }),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
)
