import { Context, Schema } from "effect"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"

/** A key, or what keys begin with: first whose it is, a domid or `shared`. */
export const Key = Schema.String.check(
  Schema.isPattern(/^(shared|[0-9]{1,5})\/[A-Za-z0-9._/-]{0,100}$/, { expected: "shared/<name> or <domid>/<name>" })
)

const Value = Schema.String.check(Schema.isMaxLength(65_536))

/** A key's newest value, or null where it was removed. Versions only grow. */
export class Change extends Schema.Class<Change>("Change")({ key: Key, value: Schema.NullOr(Value), version: Schema.Int }) {}

export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", { domid: Schema.Int, key: Key }) {
  override get message() {
    return `domain ${this.domid} may not do that to ${this.key}`
  }
}

export class NoSuchKey extends Schema.TaggedError<NoSuchKey>()("NoSuchKey", { key: Key }) {
  override get message() {
    return `there is no ${this.key}`
  }
}

export class Full extends Schema.TaggedError<Full>()("Full", { limit: Schema.Int }) {
  override get message() {
    return `a domain may have ${this.limit} keys, and this one has them`
  }
}

/** What a method does to the key it names. */
export const Needs = Context.Reference<"read" | "write">("key-value/Needs", { defaultValue: () => "write" })

/** Who may do what: rights.ts. */
export class Rights extends RpcMiddleware.Service<Rights>()("key-value/Rights", { error: Forbidden }) {}

export const KeyValue = RpcGroup.make(
  Rpc.make("Get", { payload: { key: Key }, success: Value, error: NoSuchKey }).annotate(Needs, "read"),
  Rpc.make("Set", { payload: { key: Key, value: Value }, error: Full }),
  Rpc.make("Remove", { payload: { key: Key } }),
  // What is there, from after a version on, and then what changes. A slow watcher sees each key's newest value, not all of them.
  Rpc.make("Watch", { payload: { key: Key, after: Schema.Int }, success: Change, stream: true }).annotate(Needs, "read")
).middleware(Rights)
