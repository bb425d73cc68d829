import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** A file's name in the served directory: no path, and nothing hidden. What else a client sends is refused before any code of ours sees it. */
export const Name = Schema.String.check(Schema.isPattern(/^[^./\0][^/\0]{0,99}$/))

/** What a copy must come to. */
export class Facts extends Schema.Class<Facts>("Facts")({ size: Schema.Int, sha256: Schema.String }) {}

export class NoSuchFile extends Schema.TaggedError<NoSuchFile>()("NoSuchFile", { name: Name }) {}

export const Files = RpcGroup.make(
  Rpc.make("Stat", { payload: { name: Name }, success: Facts, error: NoSuchFile }),
  // The bytes from an offset on, so that a copy can go on where it was interrupted.
  Rpc.make("Read", { payload: { name: Name, from: Schema.Int }, success: Schema.Uint8Array, error: NoSuchFile, stream: true })
)
