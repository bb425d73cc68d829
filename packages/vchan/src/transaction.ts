/**
 * Transactions for many at once: a domain may have but a few open (10 in C xenstored), and waits its turn here.
 */
import type { XenStore, XenStoreAccess, XenStoreError } from "@vchan/xen"
import { Effect, Schedule } from "effect"

/** All of the domain's transactions are in use, maybe by other processes of it. */
const isOutOfTransactions = ({ reason }: XenStoreError): boolean =>
  reason._tag === "StoreRefusal" && reason.operation === "TRANSACTION_START" && reason.code === "ENOSPC"

/** Some seconds in all: a transaction takes milliseconds. */
const turns = Schedule.spaced("5 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 1000 }))

/** As the store's `transaction`, for bodies that fail with the store's errors; waits where too many are open. */
export const transaction = <A>(
  store: XenStore["Service"],
  body: (store: XenStoreAccess) => Effect.Effect<A, XenStoreError>
): Effect.Effect<A, XenStoreError> => Effect.retry(store.transaction(body), { while: isOutOfTransactions, schedule: turns })
