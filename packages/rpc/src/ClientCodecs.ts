/**
 * What a server's Hello makes of a client's methods: for each, the codecs that both sides understand, or why it cannot be called. Pure.
 */
import type { Method, MethodCodecs } from "./Contract.ts"
import type { Hello } from "./Hello.ts"
import { ambiguityOf, incompatibilityOf } from "./MethodShapes.ts"
import { IncompatibleSchema, UnknownMethod } from "./RpcError.ts"

/** How a method is called on one connection, or why not. */
export type Negotiated = MethodCodecs | UnknownMethod | IncompatibleSchema

/** In the order of the methods. */
export const codecsFor = (methods: ReadonlyArray<Method>, theirs: Hello): ReadonlyArray<Negotiated> => {
  const entries = new Map(theirs.methods.map((entry) => [entry.name, entry]))
  return methods.map((method) => {
    const entry = entries.get(method.name)
    if (entry === undefined) return new UnknownMethod()
    if (entry.fingerprint === method.fingerprint) return method.binary
    const incompatibility = entry.shapes && incompatibilityOf(method.shapes, entry.shapes)
    if (incompatibility !== undefined) return new IncompatibleSchema(incompatibility)
    if (method.ambiguity !== undefined) return new IncompatibleSchema({ path: method.ambiguity, client: ambiguous, server: another })
    const path = entry.shapes && ambiguityOf(entry.shapes)
    return path === undefined ? method.json : new IncompatibleSchema({ path, client: another, server: ambiguous })
  })
}

/** What could be read in too many ways as JSON, which sides of two versions would speak. */
const ambiguous = "a union of values within each other that are not told apart"
const another = "of another version"
