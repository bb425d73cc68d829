/**
 * A client's call in flight, from its Request to the frame that ends it. Plain data, which its engine writes.
 */
import type { Exit } from "effect"
import type { Method } from "./Contract.ts"
import type { StreamReceiver } from "./StreamReceiver.ts"

/** A call in flight. */
export interface ClientCall {
  readonly method: Method
  /** The type of the frame that ends it well. */
  readonly end: number
  id: number
  /** Takes the call's one end. */
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => void
  /** Where a stream's items go. */
  readonly stream: StreamReceiver | undefined
  /** Ends the call at its deadline, if it has one. */
  timer: NodeJS.Timeout | undefined
  /** Whether somebody waits for it. */
  isWanted: boolean
  /** The bytes of its request. */
  length: number
}
