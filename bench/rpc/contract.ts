/**
 * What is called in the benchmarks: a small call, a stream of items in chunks of any size, and a body there and back; and, where there are
 * streams from the client, their sum, and what comes back item by item.
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
  Rpc.make("Echo", { payload: items, success: Schema.Int, stream: true })
)
