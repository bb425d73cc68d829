/**
 * The watches of all clients, found by the path they are on.
 *
 * A watch belongs to the connection that set it and ends with that.
 */
import type { DomId } from "../DomId.ts"
import { encodeStrings, maxPayload, Operation, type Packet } from "../XenStoreWire.ts"
import { domainPath, isPrivileged, parentOf, Right, rightsOf } from "./StoreNode.ts"
import type { Change } from "./StoreNodes.ts"

/** A watch. */
export interface Watch {
  readonly domid: DomId
  /** The absolute path, or the name of a special watch. */
  readonly path: string
  /** The path was given relative to the domain's own part of the tree, and so are those in events. */
  readonly relative: boolean
  readonly token: string
  readonly emit: (packet: Packet) => void
}

const fire = (watch: Watch, path: string): void => {
  const start = watch.relative ? domainPath(watch.domid).length + 1 : 0
  const payload = encodeStrings([path.slice(start), watch.token])
  // A path too long for one packet is not reported as such, but as a change below the path watched, which always fits.
  watch.emit({
    type: Operation.WATCH_EVENT,
    requestId: 0,
    transactionId: 0,
    payload: payload.length <= maxPayload ? payload : encodeStrings([watch.path.slice(start), watch.token])
  })
}

/** All watches. */
export class Watches {
  readonly #byPath = new Map<string, Set<Watch>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(watch: Watch): void {
    const others = this.#byPath.get(watch.path)
    if (others === undefined) this.#byPath.set(watch.path, new Set([watch]))
    else others.add(watch)
    this.#size++
  }

  remove(watch: Watch): void {
    const others = this.#byPath.get(watch.path)
    if (others === undefined || !others.delete(watch)) return
    this.#size--
    if (others.size === 0) this.#byPath.delete(watch.path)
  }

  /** The event that each watch starts with. */
  fireFirst(watch: Watch): void {
    fire(watch, watch.path)
  }

  /** Tells of a change to those who watch the node or one above it, and may read it or at least list it. */
  fire(change: Change): void {
    for (let path = change.path;; path = parentOf(path)) {
      this.#fireAt(
        path,
        change.path,
        (domid) => change.permissions.some((permissions) => (rightsOf(permissions, domid) & Right.read) !== 0)
      )
      if (change.exact || path === "/") return
    }
  }

  /** Fires a special watch, for privileged domains alone. */
  fireSpecial(path: string): void {
    this.#fireAt(path, path, isPrivileged)
  }

  #fireAt(at: string, path: string, permitted: (domid: DomId) => boolean): void {
    // A copy: what an event leads to may set or drop watches.
    for (const watch of [...this.#byPath.get(at) ?? []]) if (permitted(watch.domid)) fire(watch, path)
  }
}
