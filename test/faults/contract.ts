/**
 * A service whose calls last, so that a process can be killed in the middle of one.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const Lasting = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Hang"),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
)
