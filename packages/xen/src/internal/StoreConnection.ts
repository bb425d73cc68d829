/**
 * One client's connection to the store: answers its requests, and owns its watches and transactions.
 *
 * Ends by `close`, which drops both; requests after that are not answered.
 */
import { type DomId, isDomId } from "../DomId.ts"
import type { XenStoreErrno } from "../XenError.ts"
import {
  decodeStrings,
  decodeWrite,
  encodeStrings,
  formatPermission,
  isPath,
  maxPayload,
  maxRelativePath,
  Operation,
  type Packet,
  parseNumber,
  parsePermission
} from "../XenStoreWire.ts"
import type { Quotas } from "./Quotas.ts"
import { domainPath, isPrivileged, type NodePermission, Right, type StoreNode } from "./StoreNode.ts"
import { type Nodes, Transaction } from "./StoreNodes.ts"
import { type Access, directoryPart, find, makeDirectory, namesOf, remove, setPermissions, write } from "./storeOperations.ts"
import type { Watch, Watches } from "./StoreWatches.ts"

/** What all connections share. */
export interface StoreState {
  readonly nodes: Nodes
  readonly watches: Watches
  /** Whether permissions serve domids rather than domains. */
  readonly rememberDomids: boolean
  /** The domains there are, with their connections. */
  readonly domains: Map<DomId, Set<StoreConnection>>
  readonly quotas: Quotas
}

type Answer = Uint8Array | XenStoreErrno

const ok = encodeStrings(["OK"])

/** These answer EACCES to all but domain 0. */
const privilegedOperations: ReadonlySet<number> = new Set([
  Operation.CONTROL,
  Operation.INTRODUCE,
  Operation.RELEASE,
  Operation.IS_DOMAIN_INTRODUCED,
  Operation.RESUME,
  Operation.SET_TARGET
])

/** A client's connection. */
export class StoreConnection {
  readonly #state: StoreState
  readonly #domid: DomId
  readonly #emit: (packet: Packet) => void
  readonly #watches = new Set<Watch>()
  readonly #transactions = new Map<number, Transaction>()
  #nextTransaction = 1
  #closed = false
  /** A watch just set, whose first event is due after the reply. */
  #fresh: Watch | undefined

  constructor(state: StoreState, domid: DomId, emit: (packet: Packet) => void) {
    this.#state = state
    this.#domid = domid
    this.#emit = emit
  }

  /** How many watches it has. */
  get watches(): number {
    return this.#watches.size
  }

  /** Its open transactions. */
  get transactions(): ReadonlyMap<number, Transaction> {
    return this.#transactions
  }

  /** Answers one request: emits the reply, and then the events that come of it, to whomever they concern. */
  handle(packet: Packet): void {
    if (this.#closed) return
    const whole = this.#answer(packet)
    const answer = typeof whole !== "string" && whole.length > maxPayload ? "E2BIG" : whole
    const failed = typeof answer === "string"
    this.#emit({
      type: failed ? Operation.ERROR : packet.type,
      requestId: packet.requestId,
      transactionId: packet.transactionId,
      payload: failed ? encodeStrings([answer]) : answer
    })
    const fresh = this.#fresh
    this.#fresh = undefined
    if (fresh !== undefined) this.#state.watches.fireFirst(fresh)
    for (const change of this.#state.nodes.takeChanges()) this.#state.watches.fire(change)
  }

  /** Ends the connection. */
  close(): void {
    this.#closed = true
    this.#reset()
    this.#state.domains.get(this.#domid)?.delete(this)
  }

  #reset(): void {
    for (const watch of this.#watches) this.#state.watches.remove(watch)
    this.#watches.clear()
    this.#transactions.clear()
  }

  #answer(packet: Packet): Answer {
    if (privilegedOperations.has(packet.type) && !isPrivileged(this.#domid)) return "EACCES"
    switch (packet.type) {
      case Operation.WATCH:
        return this.#watch(packet.payload)
      case Operation.UNWATCH:
        return this.#unwatch(packet.payload)
    }
    const transaction = this.#transactions.get(packet.transactionId)
    if (transaction === undefined && packet.transactionId !== 0) return "ENOENT"
    switch (packet.type) {
      case Operation.TRANSACTION_START:
        return transaction === undefined ? this.#start() : "EBUSY"
      case Operation.TRANSACTION_END:
        return this.#end(packet.transactionId, packet.payload)
      case Operation.RESET_WATCHES:
        this.#reset()
        return ok
      case Operation.GET_DOMAIN_PATH:
        return this.#ofDomain(packet.payload, domainPath)
      case Operation.IS_DOMAIN_INTRODUCED:
        return this.#ofDomain(packet.payload, (domid) => this.#state.domains.has(domid) ? "T" : "F")
    }
    const { nodes, quotas } = this.#state
    const answer = this.#onNodes({ domid: this.#domid, nodes: transaction ?? nodes, quotas }, packet)
    return transaction?.takeRefusal() === true ? "ENOSPC" : answer
  }

  #onNodes(access: Access, { payload, type }: Packet): Answer {
    switch (type) {
      case Operation.READ:
        return this.#look(access, payload, (node) => node.value)
      case Operation.DIRECTORY:
        return this.#look(access, payload, namesOf)
      case Operation.DIRECTORY_PART: {
        const [path, text, ...more] = decodeStrings(payload) ?? []
        const offset = text === undefined ? undefined : parseNumber(text)
        if (path === undefined || offset === undefined || more.length > 0) return "EINVAL"
        return this.#look(access, encodeStrings([path]), (node) => directoryPart(node, offset))
      }
      case Operation.GET_PERMS:
        return this.#look(access, payload, (node) => encodeStrings(node.permissions.map(formatPermission)))
      case Operation.WRITE: {
        const request = decodeWrite(payload)
        return request === undefined ? "EINVAL" : this.#change(request.path, (path) => write(access, path, request.value))
      }
      case Operation.MKDIR:
        return this.#change(single(payload), (path) => makeDirectory(access, path))
      case Operation.RM:
        return this.#change(single(payload), (path) => remove(access, path))
      case Operation.SET_PERMS:
        return this.#setPermissions(access, payload)
      default:
        // Domains come and go by the backend's own means, so the operations that a toolstack has for it are not there either.
        return "ENOSYS"
    }
  }

  #look(access: Access, payload: Uint8Array, answer: (node: StoreNode) => Answer): Answer {
    const path = this.#path(single(payload))
    if (path === undefined) return "EINVAL"
    const node = find(access, path, Right.read)
    return typeof node === "string" ? node : answer(node)
  }

  #change(given: string | undefined, change: (path: string) => XenStoreErrno | undefined): Answer {
    const path = this.#path(given)
    return path === undefined ? "EINVAL" : change(path) ?? ok
  }

  #setPermissions(access: Access, payload: Uint8Array): Answer {
    const [path, ...texts] = decodeStrings(payload) ?? []
    if (texts.length === 0) return "EINVAL"
    if (!isPrivileged(this.#domid) && texts.length > access.quotas.permissions) return "ENOSPC"
    const [owner, ...others] = texts.map((text) => this.#permission(text))
    if (owner === undefined || others.includes(undefined)) return "EINVAL"
    if (owner.ignored) return "ENOENT"
    return this.#change(path, (path) => setPermissions(access, path, [owner, ...others.filter((other) => other !== undefined)]))
  }

  #ofDomain(payload: Uint8Array, answer: (domid: DomId) => string): Answer {
    const domid = parseNumber(single(payload) ?? "")
    return isDomId(domid) ? encodeStrings([answer(domid)]) : "EINVAL"
  }

  #path(given: string | undefined): string | undefined {
    if (given === undefined || !isPath(given)) return undefined
    return given.startsWith("/") ? given : `${domainPath(this.#domid)}/${given}`
  }

  #permission(text: string): NodePermission | undefined {
    const permission = parsePermission(text)
    return permission && { ...permission, ignored: !this.#state.rememberDomids && !this.#state.domains.has(permission.domid) }
  }

  /** What a watch is on, and whether one may be: to ask for another is no error but where a watch is set. */
  #watched(payload: Uint8Array) {
    const [given, token, ...more] = decodeStrings(payload) ?? []
    if (given === undefined || token === undefined || more.length > 0) return undefined
    const special = given.startsWith("@")
    const relative = !special && !given.startsWith("/")
    const valid = special ? given.length <= maxRelativePath : isPath(given)
    return { path: relative ? `${domainPath(this.#domid)}/${given}` : given, relative, token, valid }
  }

  #find(path: string, token: string): Watch | undefined {
    for (const watch of this.#watches) if (watch.path === path && watch.token === token) return watch
    return undefined
  }

  #watch(payload: Uint8Array): Answer {
    const watched = this.#watched(payload)
    if (watched?.valid !== true) return "EINVAL"
    if (this.#find(watched.path, watched.token) !== undefined) return "EEXIST"
    if (this.#exhausted((connection) => connection.watches, this.#state.quotas.watches)) return "E2BIG"
    const { path, relative, token } = watched
    this.#fresh = { path, relative, token, domid: this.#domid, emit: this.#emit }
    this.#watches.add(this.#fresh)
    this.#state.watches.add(this.#fresh)
    return ok
  }

  #unwatch(payload: Uint8Array): Answer {
    const watched = this.#watched(payload)
    if (watched === undefined) return "EINVAL"
    const watch = this.#find(watched.path, watched.token)
    if (watch === undefined) return "ENOENT"
    this.#watches.delete(watch)
    this.#state.watches.remove(watch)
    return ok
  }

  #start(): Answer {
    const { nodes, quotas } = this.#state
    if (this.#exhausted((connection) => connection.transactions.size, quotas.transactions)) return "ENOSPC"
    while (this.#nextTransaction === 0 || this.#transactions.has(this.#nextTransaction)) {
      this.#nextTransaction = (this.#nextTransaction + 1) >>> 0
    }
    const id = this.#nextTransaction
    this.#nextTransaction = (id + 1) >>> 0
    this.#transactions.set(id, new Transaction(nodes, isPrivileged(this.#domid) ? Infinity : quotas.transactionNodes))
    return encodeStrings([String(id)])
  }

  #end(id: number, payload: Uint8Array): Answer {
    const verdict = single(payload)
    if (verdict !== "T" && verdict !== "F") return "EINVAL"
    const transaction = this.#transactions.get(id)
    if (transaction === undefined) return "ENOENT"
    this.#transactions.delete(id)
    if (verdict === "F") return ok
    if (transaction.failed) return "ENOMEM"
    if (!isPrivileged(this.#domid) && transaction.reaches(this.#state.quotas.nodes)) return "ENOSPC"
    if (transaction.conflicts) return "EAGAIN"
    transaction.commit()
    return ok
  }

  /** Whether the domain has more than its quota: xenstored lets it have one more. */
  #exhausted(count: (connection: StoreConnection) => number, quota: number): boolean {
    if (isPrivileged(this.#domid)) return false
    let used = 0
    for (const connection of this.#state.domains.get(this.#domid) ?? []) used += count(connection)
    return used > quota
  }
}

/** The one text in a payload. */
const single = (payload: Uint8Array): string | undefined => {
  const [text, ...more] = decodeStrings(payload) ?? []
  return more.length === 0 ? text : undefined
}
