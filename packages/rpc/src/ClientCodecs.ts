/**
 * What a server's Hello makes of a client's methods: for each, the codecs that both sides understand. Pure.
 */
import type { Method, MethodCodecs } from "./Contract.ts"
import type { Hello } from "./Hello.ts"

/** The codecs in the order of the methods; undefined where the server has no method of that name. */
export const codecsFor = (methods: ReadonlyArray<Method>, theirs: Hello): ReadonlyArray<MethodCodecs | undefined> => {
  const fingerprints = new Map(theirs.methods.map(({ fingerprint, name }) => [name, fingerprint]))
  return methods.map((method) => {
    const fingerprint = fingerprints.get(method.name)
    if (fingerprint === undefined) return undefined
    return fingerprint === method.fingerprint ? method.binary : method.json
  })
}
