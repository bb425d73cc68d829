/**
 * The nodes as they are, and as a transaction sees them.
 *
 * A {@link Transaction} copies nothing at its start: it keeps each node as it was when it first looked at it, and what it changed, to
 * itself. At its end the generations tell whether anybody else changed one of those nodes meanwhile. So does C xenstored.
 */
import type { DomId } from "../DomId.ts"
import { isPrivileged, type NodeContent, type NodePermissions, parentOf, type StoreNode } from "./StoreNode.ts"

/** A change that watches are to hear of. */
export interface Change {
  readonly path: string
  /** Only watches on this very path hear of it: the node went with an ancestor, of which the others hear. */
  readonly exact: boolean
  /** Whoever may read by one of these may know. */
  readonly permissions: ReadonlyArray<NodePermissions>
}

/** Nodes to read and to change. Whoever changes nodes keeps parents and children in step. */
export interface NodeView {
  readonly get: (path: string) => StoreNode | undefined
  /** Replaces, creates, or with undefined removes a node. */
  readonly put: (path: string, node: NodeContent | undefined) => void
  /** Whether a domain may own so many nodes more. A transaction looks whether there is room for one, and at its end for all. */
  readonly mayOwn: (domid: DomId, more: number, quota: number) => boolean
  /** An operation was refused halfway, for want of room: a transaction in which that happens cannot be committed. */
  readonly fail: () => void
  /** Tells that a node was changed; of a removed node, while its parent is still there. */
  readonly changed: (path: string, before: StoreNode | undefined, exact?: boolean) => void
}

const permissionsOf = (...nodes: ReadonlyArray<StoreNode | undefined>): ReadonlyArray<NodePermissions> =>
  nodes.flatMap((node) => node === undefined ? [] : [node.permissions])

/** The nodes as everybody sees them. */
export class Nodes implements NodeView {
  readonly #nodes = new Map<string, StoreNode>()
  readonly #owned = new Map<DomId, number>()
  #generation = 0
  #changes: Array<Change> = []

  get size(): number {
    return this.#nodes.size
  }

  get paths(): Iterable<readonly [path: string, node: StoreNode]> {
    return this.#nodes
  }

  get(path: string): StoreNode | undefined {
    return this.#nodes.get(path)
  }

  /** A number that no node had as its generation before. */
  nextGeneration(): number {
    return ++this.#generation
  }

  put(path: string, node: NodeContent | undefined): void {
    const before = this.#nodes.get(path)
    if (before !== undefined) this.#count(before.permissions[0].domid, -1)
    if (node === undefined) {
      this.#nodes.delete(path)
    } else {
      this.#count(node.permissions[0].domid, 1)
      this.#nodes.set(path, { ...node, generation: this.nextGeneration() })
    }
  }

  owned(domid: DomId): number {
    return this.#owned.get(domid) ?? 0
  }

  mayOwn(domid: DomId, more: number, quota: number): boolean {
    return this.owned(domid) + more <= quota
  }

  fail(): void {}

  changed(path: string, before: StoreNode | undefined, exact = false): void {
    this.report({ path, exact, permissions: permissionsOf(before, this.get(path), this.get(parentOf(path))) })
  }

  report(change: Change): void {
    this.#changes.push(change)
  }

  /** The changes since the last call. */
  takeChanges(): ReadonlyArray<Change> {
    const changes = this.#changes
    if (changes.length > 0) this.#changes = []
    return changes
  }

  #count(domid: DomId, difference: number): void {
    const count = this.owned(domid) + difference
    if (count === 0) this.#owned.delete(domid)
    else this.#owned.set(domid, count)
  }
}

/** The nodes as one transaction sees them. Ends by `commit`, or by being dropped. */
export class Transaction implements NodeView {
  readonly #base: Nodes
  readonly #limit: number
  /** What it looked at, as it was then. */
  readonly #seen = new Map<string, StoreNode | undefined>()
  readonly #written = new Map<string, StoreNode | undefined>()
  /** What watches are to hear of, and whether exactly there. */
  readonly #changed = new Map<string, boolean>()
  readonly #owned = new Map<DomId, number>()
  #creates = false
  #refused = false
  #failed = false
  #outdated = false

  /** At most `limit` nodes may be touched. */
  constructor(base: Nodes, limit: number) {
    this.#base = base
    this.#limit = limit
  }

  /** What was done is not whole, and cannot be committed. */
  get failed(): boolean {
    return this.#failed
  }

  /** Whether an operation since the last question would have touched more nodes than are allowed. */
  takeRefusal(): boolean {
    const refused = this.#refused
    this.#refused = false
    return refused
  }

  fail(): void {
    this.#failed = true
  }

  /** Makes the commit fail as if another had been faster. */
  outdate(): void {
    this.#outdated = true
  }

  get(path: string): StoreNode | undefined {
    if (this.#written.has(path)) return this.#written.get(path)
    if (this.#seen.has(path)) return this.#seen.get(path)
    const node = this.#base.get(path)
    if (this.#seen.size < this.#limit) this.#seen.set(path, node)
    else this.#refused = this.#failed = true
    return node
  }

  put(path: string, node: NodeContent | undefined): void {
    const before = this.get(path)
    if (this.#refused) return
    const [was, is] = [before?.permissions[0].domid, node?.permissions[0].domid]
    if (was !== is) {
      this.#count(was, -1)
      this.#count(is, 1)
    }
    if (before === undefined) this.#creates = true
    this.#written.set(path, node && { ...node, generation: this.#base.nextGeneration() })
  }

  mayOwn(domid: DomId, _more: number, quota: number): boolean {
    return this.#base.mayOwn(domid, 1, quota)
  }

  /** Whether it creates nodes, and leaves a domain whose number of nodes it changes with as many as this, or more. */
  reaches(nodes: number): boolean {
    return this.#creates && [...this.#owned].some(([domid, more]) => !isPrivileged(domid) && this.#base.owned(domid) + more >= nodes)
  }

  changed(path: string, _before: StoreNode | undefined, exact = false): void {
    this.#changed.set(path, exact && this.#changed.get(path) !== false)
  }

  /** Whether a node that it looked at is no longer as it was then. */
  get conflicts(): boolean {
    if (this.#outdated) return true
    for (const [path, node] of this.#seen) if (this.#base.get(path)?.generation !== node?.generation) return true
    return false
  }

  /** Makes its changes everybody's. Only where nothing conflicts. */
  commit(): void {
    const around = (path: string) => permissionsOf(this.#base.get(path), this.#base.get(parentOf(path)))
    const changes = [...this.#changed].filter(([path]) => this.get(path) !== undefined || this.#base.get(path) !== undefined)
      .map(([path, exact]) => ({ path, exact, before: around(path) }))
    for (const [path, node] of this.#written) this.#base.put(path, node)
    for (const { before, exact, path } of changes) this.#base.report({ path, exact, permissions: [...before, ...around(path)] })
  }

  #count(domid: DomId | undefined, difference: number): void {
    if (domid !== undefined) this.#owned.set(domid, (this.#owned.get(domid) ?? 0) + difference)
  }
}
