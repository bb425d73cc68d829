import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** The gateway's own: the guest that does the work is not to be reached. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { why: Schema.String }) {}

export class NotPositive extends Schema.TaggedError<NotPositive>()("NotPositive", { n: Schema.Int }) {}

export const Primes = RpcGroup.make(
  Rpc.make("Factor", {
    payload: { n: Schema.Int },
    success: Schema.Array(Schema.Int),
    error: Schema.Union([NotPositive, Unavailable])
  }),
  Rpc.make("Between", { payload: { from: Schema.Int, to: Schema.Int }, success: Schema.Int, error: Unavailable, stream: true })
)
