/**
 * A client's call in flight, from its Request to the frame that ends it. Plain data, which its engine writes.
 */
import type { Exit } from "effect"
import type { ClientUpload } from "./ClientUpload.ts"
import type { Method } from "./Contract.ts"
import type { StreamReceiver } from "./StreamReceiver.ts"

/** A call in flight, or about to be. */
export interface ClientCall {
  readonly method: Method
  /** The type of the frame that ends it well. */
  readonly end: number
  id: number
  /** Takes the call's one end. */
  settle: (exit: Exit.Exit<unknown, unknown>) => void
  /** Where a stream's items go. */
  readonly stream: StreamReceiver | undefined
  /** Where the items of the stream in its payload come from, once its request has been made. */
  upload: ClientUpload | undefined
  /** Ends the call at its deadline, if it has one. */
  timer: NodeJS.Timeout | undefined
  /** Whether somebody waits for it. */
  isWanted: boolean
  /** What it takes of the server's memory. */
  length: number
}

/** A call that has not begun. */
export const newCall = (
  method: Method,
  end: number,
  settle: ClientCall["settle"],
  stream: StreamReceiver | undefined
): ClientCall => ({
  method,
  end,
  settle,
  stream,
  id: 0,
  upload: undefined,
  timer: undefined,
  isWanted: true,
  length: 0
})
