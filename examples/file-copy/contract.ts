import { Schema } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"

/** A file's name in the served directory: no path, and nothing hidden. What else a client sends is refused before any code of ours sees it. */
export const Name = Schema.String.check(
  Schema.isPattern(/^[^./\0][^/\0]{0,99}$/, { expected: "a file's name, without a path and not hidden" })
)

/** What a copy must come to: at most 16 GiB. */
export class Facts extends Schema.Class<Facts>("Facts")({
  size: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 34 })),
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
}) {}

export class NoSuchFile extends Schema.TaggedError<NoSuchFile>()("NoSuchFile", { name: Name }) {
  override get message() {
    return `no file ${this.name} is served`
  }
}

/** What came is not the file: it changed meanwhile, or who sent it is not to be trusted. */
export class NotTheFile extends Schema.TaggedError<NotTheFile>()("NotTheFile", { detail: Schema.String }) {
  override get message() {
    return `what came is not the file (${this.detail}): it is thrown away, try again`
  }
}

export class ReadOnly extends Schema.TaggedError<ReadOnly>()("ReadOnly", { domid: Schema.Int }) {
  override get message() {
    return `domain ${this.domid} may not write here`
  }
}

export const Files = RpcGroup.make(
  Rpc.make("Stat", { payload: { name: Name }, success: Facts, error: NoSuchFile }),
  // The bytes from an offset on, so that a copy can go on where it was interrupted.
  Rpc.make("Read", { payload: { name: Name, from: Schema.Int }, success: Schema.Uint8Array, error: NoSuchFile, stream: true }),
  // How much there is of what the caller was sending.
  Rpc.make("Begun", { payload: { name: Name, facts: Facts }, success: Schema.Int, error: ReadOnly }),
  Rpc.make("Write", {
    payload: { name: Name, facts: Facts, rest: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) },
    error: Schema.Union([ReadOnly, NotTheFile])
  })
)
