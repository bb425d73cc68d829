/**
 * Services whose calls last, so that a process can be killed in the middle of one.
 */
import { Idempotent } from "@vchan/rpc"
import { Schema } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"

export const Lasting = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Hang"),
  Rpc.make("Numbers", { success: Schema.Int, stream: true }),
  Rpc.make("Sum", { payload: { numbers: RpcSchema.Stream(Schema.Int, Schema.Never) }, success: Schema.Int })
)

export const Restarting = RpcGroup.make(
  Rpc.make("Get", { payload: { key: Schema.Int }, success: Schema.Int }).annotate(Idempotent, true),
  Rpc.make("Add", { payload: { key: Schema.Int }, success: Schema.Int }),
  Rpc.make("Hang")
)
