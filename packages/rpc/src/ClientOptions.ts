/**
 * What a client's engine is told of its connection. Plain data.
 */
import type { Method } from "./Contract.ts"
import type { Keepalive } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"

/** What a client asks of a connection. */
export interface ClientOptions {
  readonly service: string
  readonly methods: ReadonlyArray<Method>
  readonly limits: Limits
  /** How long the server may take to say Hello, in milliseconds. */
  readonly helloTimeout: number
  readonly keepalive: Keepalive
  /** Whether the server is asked for the shapes of all its methods. */
  readonly describe?: boolean | undefined
}
