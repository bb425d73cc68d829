/**
 * Node's file system calls as Effects that fail with what the system said.
 */
import { SystemRefusal } from "@vchan/xen"
import { Effect } from "effect"

/** What a call of Node's threw or reported, as the system's refusal. */
export const systemRefusal = (call: string, hint: string, cause: unknown): SystemRefusal =>
  new SystemRefusal({
    call,
    code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause),
    hint
  })

/** Makes a call of `node:fs`; `call` names it with what it is made on. */
export const systemCall = <A>(call: string, hint: string, make: () => A): Effect.Effect<A, SystemRefusal> =>
  Effect.try({ try: make, catch: (cause) => systemRefusal(call, hint, cause) })
