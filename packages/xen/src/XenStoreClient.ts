/**
 * The XenStore service over the wire.
 */
import { Effect, type Scope } from "effect"
import type { Socket } from "effect/socket"
import { HostLost, XenStoreError } from "./XenError.ts"
import type { XenStore } from "./XenStore.ts"

/** The store behind a socket. */
export const make: (options: {
  readonly socket: Socket.Socket
  readonly host: string
}) => Effect.Effect<XenStore["Service"], XenStoreError, Scope.Scope> = (options) =>
  Effect.fail(new XenStoreError({ reason: new HostLost({ host: options.host }) }))
