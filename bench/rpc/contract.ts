/**
 * What is called in the benchmarks: a small call, a stream of items in chunks of any size, and a body there and back; and, where there are
 * streams from the client, their sum, what comes back item by item, and bytes either way.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"

export const Bench = RpcGroup.make(
  Rpc.make("Add", { payload: { a: Schema.Int, b: Schema.Int }, success: Schema.Int }),
  Rpc.make("Count", { payload: { to: Schema.Int, chunk: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Same", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array })
)

const items = RpcSchema.Stream(Schema.Int, Schema.Never)

export const BenchWithUploads = Bench.add(
  Rpc.make("Total", { payload: items, success: Schema.Int }),
  Rpc.make("Echo", { payload: items, success: Schema.Int, stream: true }),
  Rpc.make("Bytes", { payload: { count: Schema.Int, length: Schema.Int }, success: Schema.Uint8Array, stream: true }),
  Rpc.make("Take", { payload: { data: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) }, success: Schema.Int })
)
