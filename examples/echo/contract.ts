import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class TooLoud extends Schema.TaggedError<TooLoud>()("TooLoud", { text: Schema.String }) {}

export const Echo = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String, error: TooLoud }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait")
)
