/**
 * An entity that tells in which domain it is, how the test asks a runner's domain to send it messages, and who is told of those that are kept.
 */
import { Schema } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc, RpcGroup } from "effect/rpc"

/** Where an entity answered, and how many messages it has got. */
const Answer = Schema.Struct({ domid: Schema.Int, messages: Schema.Int })

export class Odd extends Schema.TaggedError<Odd>()("Odd", { domid: Schema.Int }) {}

export const Place = Entity.make("Place", [
  Rpc.make("Where", { success: Answer }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Fail", { error: Odd }),
  Rpc.make("Keep", { payload: { id: Schema.String }, success: Schema.Int, primaryKey: ({ id }) => id }).annotate(
    ClusterSchema.Persisted,
    true
  )
])

/** Sends the messages from the domain that is asked. */
export const Ask = RpcGroup.make(
  Rpc.make("Where", { payload: { entity: Schema.String }, success: Answer }),
  Rpc.make("Count", { payload: { entity: Schema.String, to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Fail", { payload: { entity: Schema.String }, error: Odd }),
  Rpc.make("Keep", { payload: { entity: Schema.String, id: Schema.String }, success: Schema.Int })
)

/** Is told of each message that is to be kept, and lets its handler go on. */
export const Ledger = RpcGroup.make(Rpc.make("Note", { payload: { id: Schema.String, domid: Schema.Int } }))
