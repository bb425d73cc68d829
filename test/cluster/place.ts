/**
 * An entity that tells in which domain it is, and how the test asks a runner's domain to send it messages.
 */
import { Schema } from "effect"
import { Entity } from "effect/cluster"
import { Rpc, RpcGroup } from "effect/rpc"

/** Where an entity answered, and how many messages it has got. */
const Answer = Schema.Struct({ domid: Schema.Int, messages: Schema.Int })

export class Odd extends Schema.TaggedError<Odd>()("Odd", { domid: Schema.Int }) {}

export const Place = Entity.make("Place", [
  Rpc.make("Where", { success: Answer }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Fail", { error: Odd })
])

/** Sends the messages from the domain that is asked. */
export const Ask = RpcGroup.make(
  Rpc.make("Where", { payload: { entity: Schema.String }, success: Answer }),
  Rpc.make("Count", { payload: { entity: Schema.String, to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Fail", { payload: { entity: Schema.String }, error: Odd })
)
