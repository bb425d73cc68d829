/**
 * What XenStore's refusals mean to this package, and the reads that count on some of them. Owns nothing.
 */
import type { XenStoreAccess, XenStoreError } from "@vchan/xen"
import { Effect, Option } from "effect"
import type { VchanError } from "./VchanError.ts"

/** Whether the store said that a key is not there, or may not be read. Below a directory that may not be read both look alike. */
export const isUnseen = (error: XenStoreError): boolean => error.code === "ENOENT" || error.code === "EACCES"

/** Whether the store answered, and refused. */
export const isRefusal = (error: XenStoreError): boolean => error.code !== undefined

/** Whether the domain holds as many watches as it may. */
export const isOutOfWatches = (error: XenStoreError): boolean => error.code === "E2BIG"

/** What is there; none where it is not, or may not be seen. */
export const seen = <A>(effect: Effect.Effect<A, XenStoreError>): Effect.Effect<Option.Option<A>, XenStoreError> =>
  effect.pipe(Effect.map(Option.some), Effect.catchIf(isUnseen, () => Effect.succeedNone))

/** The value of a key that may not be there. */
export const readKey = (store: XenStoreAccess, key: string): Effect.Effect<Option.Option<string>, XenStoreError> => seen(store.read(key))

/** Whether there is such a key. */
export const exists = (store: XenStoreAccess, key: string): Effect.Effect<boolean, XenStoreError> =>
  Effect.map(seen(store.getPermissions(key)), Option.isSome)

/** What the store refuses is told, with the path it was about, and ends nothing. */
export const orWarn = <E extends XenStoreError | VchanError, R>(
  path: string,
  effect: Effect.Effect<void, E, R>
): Effect.Effect<void, E, R> =>
  Effect.catchIf(
    effect,
    (error) => error._tag === "XenStoreError" && isRefusal(error),
    (error) => Effect.logWarning(`at ${path}`, error)
  )
