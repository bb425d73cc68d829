/**
 * What a client's Hello makes of a server's methods: by the client's indexes, each with the codecs that both sides understand. Plain data.
 */
import { Context } from "effect"
import { Caller } from "./Caller.ts"
import type { MethodCodecs, ServedMethod } from "./Contract.ts"
import type { Hello } from "./Hello.ts"

/** A method as one client calls it. */
export interface Target {
  readonly method: ServedMethod
  readonly codecs: MethodCodecs
  /** What its handler is run with. */
  readonly context: Context.Context<never>
}

/** The methods in the order of the client's Hello; undefined where the server has none of that name, or none that it may serve as JSON. */
export const targetsOf = (
  methods: ReadonlyMap<string, ServedMethod>,
  theirs: Hello,
  caller: Caller
): ReadonlyArray<Target | undefined> => {
  const who = Context.make(Caller, caller)
  const contexts = new Map(Array.from(methods.values(), (method) => [method, Context.merge(method.context, who)]))
  return theirs.methods.map(({ fingerprint, name }) => {
    const method = methods.get(name)
    const context = method && contexts.get(method)
    if (method === undefined || context === undefined) return undefined
    if (method.fingerprint === fingerprint) return { method, context, codecs: method.binary }
    // Any client may say another fingerprint, and then send what takes for ever to read.
    return method.ambiguity === undefined ? { method, context, codecs: method.json } : undefined
  })
}
