/** Who may do what. A domain is who it is on the hypervisor's word, so there are no passwords here. */
import { Caller } from "@vchan/rpc"
import { Context, Effect, Layer, Schema } from "effect"
import { Forbidden, Key, Needs, Rights } from "./contract.ts"

const keyIn = Schema.decodeUnknownSync(Schema.Struct({ key: Key }))

/** A domain does as it likes with what is its own. All read what is shared, and domain 0 writes it. */
export const RightsLive = Layer.succeed(Rights, (effect, { payload, rpc }) =>
  Effect.gen(function*() {
    const { domid } = yield* Caller
    const { key } = keyIn(payload)
    const owner = key.slice(0, key.indexOf("/"))
    const reads = Context.get(rpc.annotations, Needs) === "read"
    const may = owner === String(domid) || (owner === "shared" && (reads || domid === 0))
    return yield* may ? effect : Effect.fail(new Forbidden({ domid, key }))
  }))
