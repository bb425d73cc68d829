/**
 * What becomes of a client's connection. Plain data.
 */
import { Data } from "effect"
import type { VchanRpcError } from "./RpcError.ts"

/**
 * How it stands with a client's connection.
 *
 * - `Open`: calls go out.
 * - `Draining`: the server is about to go: it ends what is in flight, and takes nothing new.
 * - `Connecting`: the connection is lost, for the reason that `error` tells or that of the last attempt to make a new one; calls wait for it.
 * - `Lost`: it is lost for good, and every call fails. Always the last.
 */
export type ConnectionState = Data.TaggedEnum<{
  readonly Open: {}
  readonly Draining: {}
  readonly Connecting: { readonly error: VchanRpcError }
  readonly Lost: { readonly error: VchanRpcError }
}>

/** Makes and matches states. */
export const ConnectionState: Data.TaggedEnum.Constructor<ConnectionState> = Data.taggedEnum<ConnectionState>()
