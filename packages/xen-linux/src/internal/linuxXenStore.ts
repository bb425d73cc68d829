/**
 * The store of a domain of Xen: through xenstored's socket where there is one, which is in dom0, and else through the kernel's device xenbus.
 *
 * The connection belongs to the Scope it was made in.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { HostMissing, type XenStore, XenStoreClient, XenStoreError } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { deviceSocket, maxPayload } from "./deviceSocket.ts"
import { holdDevice } from "./openDevice.ts"

/** How long a store may take to answer the first question. */
const patience = "10 seconds"

/**
 * Connects: to `XENSTORED_PATH`, socket or device, where that is set, else to `$XENSTORED_RUNDIR/socket` or `/var/run/xenstored/socket`,
 * else to xenbus among the devices in `directory`.
 */
export const makeXenStore = Effect.fnUntraced(
  function*(directory: string): Effect.fn.Return<XenStore["Service"], XenStoreError, Scope.Scope> {
    const { XENSTORED_PATH, XENSTORED_RUNDIR } = process.env
    const socket = XENSTORED_PATH || `${XENSTORED_RUNDIR || "/var/run/xenstored"}/socket`
    return yield* isSocket(socket) ? connectSocket(socket) : connectDevice(XENSTORED_PATH || `${directory}/xenbus`)
  }
)

const isSocket = (path: string): boolean => {
  try {
    return fs.statSync(path).isSocket()
  } catch {
    return false
  }
}

const connectSocket = Effect.fnUntraced(function*(path: string) {
  const socket = yield* NodeSocket.makeNet({ path })
  return yield* checked(yield* XenStoreClient.make({ socket, host: path }), path)
})

const connectDevice = Effect.fnUntraced(function*(path: string) {
  const remedy = "in dom0, start xenstored; a guest's kernel makes it (CONFIG_XEN_XENBUS_FRONTEND)"
  const fd = yield* Effect.mapError(holdDevice({ path, remedy }), (reason) => new XenStoreError({ reason }))
  const socket = yield* deviceSocket(fd)
  return yield* checked(yield* XenStoreClient.make({ socket, host: path, maxPayload }), path)
})

/** A store that answers, and knows the domain that it is asked from: without its domid, nobody could be met. */
const checked = (store: XenStore["Service"], host: string): Effect.Effect<XenStore["Service"], XenStoreError> => {
  const missing = (hint: string) => Effect.fail(new XenStoreError({ reason: new HostMissing({ host, hint }) }))
  return store.read("domid").pipe(
    Effect.catchIf(
      (error) => error.code === "ENOENT",
      () => missing("the store has no key 'domid' for this domain: in dom0, xen-init-dom0 writes it, run it after xenstored has started")
    ),
    Effect.timeoutOrElse({ duration: patience, orElse: () => missing("it does not answer: is xenstored running in dom0?") }),
    Effect.as(store)
  )
}
