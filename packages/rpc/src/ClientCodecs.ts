/**
 * What a server's Hello makes of a client's methods: for each, the codecs that both sides understand, or why it cannot be called. Pure.
 */
import type { Method, MethodCodecs } from "./Contract.ts"
import type { Hello } from "./Hello.ts"
import { incompatibilityOf } from "./MethodShapes.ts"
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
    if (entry.shapes === undefined) return method.json
    const incompatibility = incompatibilityOf(method.shapes, entry.shapes)
    return incompatibility === undefined ? method.json : new IncompatibleSchema(incompatibility)
  })
}
