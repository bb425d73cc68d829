/**
 * The store itself: the tree of nodes, with XenStore's permissions, transactions, watches and quotas, for backends that have no
 * xenstored.
 *
 * Pure and synchronous. Whoever embeds it owns it, brings domains and connections, and carries packets between them and their clients; a
 * connection's watches and transactions end with it, a domain's nodes with the domain. Behaves as C xenstored does (tools/xenstored and
 * docs/misc/xenstore.txt in Xen's sources), but for the special watches' own permissions, which cannot be changed, and for the operations
 * that a toolstack or an administrator has for xenstored alone: CONTROL, INTRODUCE, RELEASE, RESUME and SET_TARGET answer ENOSYS.
 */
import { type DomId, isDomId } from "./DomId.ts"
import { defaultQuotas, type Quotas } from "./internal/Quotas.ts"
import { StoreConnection, type StoreState } from "./internal/StoreConnection.ts"
import { domainPath, leaf, type NodePermission, permit } from "./internal/StoreNode.ts"
import { Nodes, type Transaction } from "./internal/StoreNodes.ts"
import { place, removeTree } from "./internal/storeOperations.ts"
import { Watches } from "./internal/StoreWatches.ts"
import type { Packet } from "./XenStoreWire.ts"

export type { Quotas } from "./internal/Quotas.ts"

/** One client's connection to the store. */
export interface StoreSession {
  /** Takes a request. Its reply, and the events that come of it, have been emitted when this returns. */
  readonly handle: (packet: Packet) => void
  /** Ends the connection with its watches and transactions; what it still asks is not answered. */
  readonly close: () => void
}

/** What a store holds. */
export interface StoreStats {
  readonly nodes: number
  readonly watches: number
  readonly transactions: number
  /** The domains it knows, domain 0 among them. */
  readonly domains: ReadonlyArray<DomId>
}

/** A store with domain 0 alone, which is privileged: no permission and no quota stops it. */
export class XenStoreTree {
  readonly #state: StoreState

  /**
   * With `rememberDomids`, a permission serves a domid whoever has it, now or later: so a host wants it whose domids stand for programs that
   * come and go. Without, as on Xen, it serves only the domain that had the domid when the permission was set.
   */
  constructor(options?: { readonly quotas?: Partial<Quotas> | undefined; readonly rememberDomids?: boolean }) {
    this.#state = {
      rememberDomids: options?.rememberDomids ?? false,
      nodes: new Nodes(),
      watches: new Watches(),
      domains: new Map(),
      quotas: { ...defaultQuotas, ...options?.quotas }
    }
    this.#state.nodes.put("/", leaf([permit(0, "n")]))
    this.#add(0)
    this.#state.nodes.takeChanges()
  }

  /**
   * Connects a client of a domain, which has to be there. Replies and watch events go out through `emit`, which must not throw; how many may
   * wait for a client is its business.
   */
  connect(domid: DomId, emit: (packet: Packet) => void): StoreSession {
    const connections = this.#state.domains.get(domid)
    if (connections === undefined) throw new RangeError(`domain ${domid} is not introduced to the store`)
    const connection = new StoreConnection(this.#state, domid, emit)
    connections.add(connection)
    return connection
  }

  /**
   * A domain comes: it may read `/local/domain/<domid>` and the key `domid` in it, owns `data` in it, and domain 0's watches on
   * `@introduceDomain` fire. Whatever was at that path before goes.
   */
  introduce(domid: DomId): void {
    if (!isDomId(domid)) throw new RangeError(`${domid} is no domid`)
    if (this.#state.domains.has(domid)) throw new RangeError(`domain ${domid} is introduced to the store already`)
    removeTree(this.#state.nodes, domainPath(domid))
    this.#add(domid)
    this.#fire("@introduceDomain")
  }

  /**
   * A domain goes: with it its connections, its part of the tree, and every node that it owns anywhere, whatever is below. What nodes
   * of others permitted it serves nobody any more, open transactions will have to be redone, and domain 0's watches on `@releaseDomain` fire. Nothing happens
   * where it is not there.
   */
  release(domid: DomId): void {
    const { domains, nodes } = this.#state
    if (domid === 0) throw new RangeError("domain 0 stays")
    const connections = domains.get(domid)
    if (connections === undefined) return
    for (const connection of [...connections]) connection.close()
    domains.delete(domid)
    // A transaction may hold nodes that name the domain: committed later, they would serve the next domain of that number.
    for (const transaction of this.#transactions()) transaction.outdate()
    removeTree(nodes, domainPath(domid))
    for (const [path, { permissions: [owner] }] of [...nodes.paths]) {
      if (owner.domid === domid && path !== "/") removeTree(nodes, path)
    }
    for (const [path, node] of [...nodes.paths]) {
      const [owner, ...others] = node.permissions
      const kept = owner.domid === domid ? permit(0, owner.access) : owner
      const lapses = ({ domid: named, ignored }: NodePermission) => named === domid && !ignored && !this.#state.rememberDomids
      if (kept === owner && !others.some(lapses)) continue
      nodes.put(path, { ...node, permissions: [kept, ...others.map((other) => lapses(other) ? { ...other, ignored: true } : other)] })
    }
    this.#fire("@releaseDomain")
  }

  /** What is held now, for leak checks and for people. */
  stats(): StoreStats {
    const { domains, nodes, watches } = this.#state
    return {
      nodes: nodes.size,
      watches: watches.size,
      transactions: this.#transactions().length,
      domains: [...domains.keys()]
    }
  }

  #add(domid: DomId): void {
    const { domains, nodes, quotas } = this.#state
    const toolstack = { domid: 0, nodes, quotas }
    const readable = domid === 0 ? [permit(0, "n")] as const : [permit(0, "n"), permit(domid, "r")] as const
    domains.set(domid, new Set())
    place(toolstack, domainPath(domid), readable, "")
    place(toolstack, `${domainPath(domid)}/domid`, readable, String(domid))
    place(toolstack, `${domainPath(domid)}/data`, [permit(domid, "n")], "")
  }

  #fire(special: string): void {
    const { nodes, watches } = this.#state
    for (const change of nodes.takeChanges()) watches.fire(change)
    watches.fireSpecial(special)
  }

  #transactions(): ReadonlyArray<Transaction> {
    return [...this.#state.domains.values()].flatMap((connections) =>
      [...connections].flatMap((connection) => [...connection.transactions.values()])
    )
  }
}
