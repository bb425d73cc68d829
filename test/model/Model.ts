/**
 * What XenStore is, said as simply as can be: a map of nodes, a list of watches, and transactions that remember what they saw. Everything is
 * searched from end to end and worked out anew; nothing is shared with the store that is held against it.
 */
import { above, type Content, domidOf, home, isPath, last, mayDo, type Node, pathOf, sizeOf } from "./Node.ts"
import { clients, quotas, visitor } from "./Step.ts"
import type { Store } from "./Store.ts"
import { Watches } from "./Watches.ts"

interface Transaction {
  readonly client: number
  readonly seen: Map<string, Node>
  readonly changed: Map<string, Node>
  /** Paths that watches are to hear of, and whether only on the very path. */
  readonly told: Map<string, boolean>
  /** How many nodes more, or less, a domain owns by it. */
  readonly moved: Map<number, number>
  creates: boolean
  /** Its last operation would have touched too many nodes. */
  refused: boolean
  /** It cannot be committed any more. */
  failed: boolean
}

/** The store. */
export class Model implements Store {
  #nodes = new Map<string, Node>()
  readonly #watches = new Watches()
  readonly #transactions = new Map<string, Transaction>()
  readonly #domains = new Set<number>()
  #started = 0

  constructor() {
    this.#put("/", { value: "", permissions: ["n0"], children: [] })
    for (const domid of new Set(clients)) if (domid !== visitor) this.#introduce(domid)
  }

  visit(): void {
    if (this.#domains.has(visitor)) this.#release(visitor)
    else this.#introduce(visitor)
  }

  takeEvents(): ReadonlyArray<ReadonlyArray<string>> {
    return this.#watches.takeEvents()
  }

  ask(client: number, asked: string, texts: ReadonlyArray<string>, id: number): string {
    const [given = "", ...others] = texts
    const domid = clients[client] ?? 0
    const path = pathOf(domid, given)
    if (asked === "WATCH") return this.#watches.set(client, given, others[0] ?? "")
    if (asked === "UNWATCH") return this.#watches.unset(client, given, others[0] ?? "")
    if (asked === "IS_DOMAIN_INTRODUCED" && domid !== 0) return "EACCES"
    const transaction = this.#transactions.get(`${client} ${id}`)
    if (id !== 0 && transaction === undefined) return "ENOENT"
    switch (asked) {
      case "GET_DOMAIN_PATH":
        return home(Number(given))
      case "IS_DOMAIN_INTRODUCED":
        return this.#domains.has(Number(given)) ? "T" : "F"
      case "RESET_WATCHES":
        this.#forget(client)
        return "OK"
      case "TRANSACTION_START":
        return this.#start(client, transaction)
      case "TRANSACTION_END":
        return this.#end(client, id, given)
    }
    if (transaction) transaction.refused = false
    const answer = this.#onNode(domid, asked, path, given, others, transaction)
    return transaction?.refused === true ? "ENOSPC" : answer
  }

  #onNode(domid: number, asked: string, path: string, given: string, others: ReadonlyArray<string>, transaction?: Transaction): string {
    const permissions = others.map((text) => this.#domains.has(domidOf(text)) ? text : `${text}!`)
    if (asked === "SET_PERMS") {
      if (others.length === 0) return "EINVAL"
      if (domid !== 0 && others.length > quotas.permissions) return "ENOSPC"
      if (!others.every((text) => /^[nrwb]\d+$/.test(text))) return "EINVAL"
      if (permissions[0]?.endsWith("!")) return "ENOENT"
    }
    if (given === "" || !isPath(path)) return "EINVAL"
    const get = (path: string) => this.#get(path, transaction)
    const may = (node: Content, letters: string) => letters.includes(mayDo(domid, node.permissions))
    const letters = { READ: "rb*", DIRECTORY: "rb*", GET_PERMS: "rb*", SET_PERMS: "*" }[asked] ?? "wb*"
    const node = get(path)
    if (node === undefined) {
      let nearest = above(path)
      while (get(nearest) === undefined && nearest !== "/") nearest = above(nearest)
      const root = get(nearest)
      if (root === undefined || !may(root, asked === "SET_PERMS" ? "wb*" : letters)) return "EACCES"
      if (asked === "RM") return get(above(path)) === undefined ? "ENOENT" : "OK"
      return asked === "MKDIR" || asked === "WRITE" ? this.#create(domid, path, others[0] ?? "", transaction) : "ENOENT"
    }
    // Where something is kept from one, the node above is looked at as well.
    if (!may(node, letters)) {
      get(above(path))
      return "EACCES"
    }
    switch (asked) {
      case "READ":
        return node.value
      case "DIRECTORY":
        return node.children.join(" ")
      case "GET_PERMS":
        return node.permissions.join(" ").replaceAll("!", "")
      case "MKDIR":
        return "OK"
      case "RM":
        if (path === "/") return "EINVAL"
        this.#remove(path, transaction)
        return "OK"
      case "WRITE":
        return this.#change(domid, path, { ...node, value: others[0] ?? "" }, transaction)
    }
    if (domid !== 0 && domidOf(permissions[0]) !== domidOf(node.permissions[0])) return "EPERM"
    return this.#change(domid, path, { ...node, permissions }, transaction)
  }

  #change(domid: number, path: string, node: Content, transaction?: Transaction): string {
    if (this.#isTooBig(domid, [node], transaction)) return "ENOSPC"
    this.#tellAround(transaction, [path], () => this.#put(path, node, transaction))
    return "OK"
  }

  #isTooBig(domid: number, nodes: ReadonlyArray<Content>, transaction?: Transaction): boolean {
    const refused = domid !== 0 && nodes.some((node) => sizeOf(node) >= quotas.nodeSize)
    if (refused && transaction) transaction.failed = true
    return refused
  }

  #create(domid: number, path: string, value: string, transaction?: Transaction): string {
    const missing: Array<string> = []
    for (let at = path; this.#get(at, transaction) === undefined && at !== "/"; at = above(at)) missing.unshift(at)
    const top = this.#get(above(missing[0] ?? path), transaction)
    // Where a transaction sees no more, not even the root.
    if (top === undefined) return "ENOSPC"
    const [owner, ...others] = top.permissions
    const permissions = domid === 0 ? top.permissions : [`${owner?.[0]}${domid}`, ...others]
    const made = missing.map((at, index) => ({
      value: at === path ? value : "",
      permissions,
      children: missing.slice(index + 1, index + 2).map(last)
    }))
    const grown = { ...top, children: [...top.children, last(missing[0] ?? path)] }
    if (domid !== 0 && this.#owned(domid) + (transaction ? 1 : missing.length) > quotas.nodes) return "ENOSPC"
    if (this.#isTooBig(domid, [grown, ...made], transaction)) return "ENOSPC"
    this.#tellAround(transaction, [path], () => {
      this.#put(above(missing[0] ?? path), grown, transaction)
      missing.forEach((at, index) => this.#put(at, made[index], transaction))
    })
    return "OK"
  }

  #remove(path: string, transaction?: Transaction): void {
    const all = [path]
    for (const at of all) all.push(...(this.#get(at, transaction)?.children ?? []).map((name) => `${at}/${name}`))
    const parent = this.#get(above(path), transaction)
    this.#tellAround(transaction, all, () => {
      for (const at of all) this.#put(at, undefined, transaction)
      if (parent) this.#put(above(path), { ...parent, children: parent.children.filter((name) => name !== last(path)) }, transaction)
    })
  }

  /** The node as all, or as a transaction sees it, which from then on stays so. */
  #get(path: string, transaction?: Transaction): Node {
    if (transaction === undefined) return this.#nodes.get(path)
    if (transaction.changed.has(path)) return transaction.changed.get(path)
    if (!transaction.seen.has(path)) {
      if (clients[transaction.client] !== 0 && transaction.seen.size >= quotas.transactionNodes) {
        transaction.refused = transaction.failed = true
      } else transaction.seen.set(path, this.#nodes.get(path))
    }
    return transaction.seen.get(path)
  }

  #put(path: string, node: Node, transaction?: Transaction): void {
    const nodes = transaction?.changed ?? this.#nodes
    const before = this.#get(path, transaction)
    if (transaction?.refused === true) return
    if (transaction) {
      const [was, is] = [before, node].map((each) => each && domidOf(each.permissions[0]))
      if (before === undefined) transaction.creates = true
      if (was !== is && was !== undefined) transaction.moved.set(was, (transaction.moved.get(was) ?? 0) - 1)
      if (was !== is && is !== undefined) transaction.moved.set(is, (transaction.moved.get(is) ?? 0) + 1)
    }
    if (node === undefined && transaction === undefined) nodes.delete(path)
    else nodes.set(path, node && { ...node })
  }

  #owned(domid: number): number {
    return [...this.#nodes.values()].filter((node) => domidOf(node?.permissions[0]) === domid).length
  }

  /** Whether a domain would own as many nodes as it may, or more, and the transaction has created or removed some of them. */
  #isCrowdedBy({ moved }: Transaction): boolean {
    return [...moved].some(([domid, more]) => domid !== 0 && this.#owned(domid) + more >= quotas.nodes)
  }

  /** Changes nodes, and tells the watches of the first and of those below it that went with it; in a transaction, at its end. */
  #tellAround(transaction: Transaction | undefined, paths: ReadonlyArray<string>, change: () => void): void {
    paths.forEach((path, index) => transaction?.told.set(path, index > 0 && transaction.told.get(path) !== false))
    const before = paths.map((path) => this.#around(path))
    change()
    if (transaction === undefined) {
      paths.forEach((path, index) => this.#watches.tell(path, index > 0, [...before[index] ?? [], ...this.#around(path)]))
    }
  }

  /** By whose permissions one may know of a node. */
  #around(path: string): ReadonlyArray<ReadonlyArray<string>> {
    return [this.#nodes.get(path), this.#nodes.get(above(path))].flatMap((node) => node === undefined ? [] : [node.permissions])
  }

  #start(client: number, within: Transaction | undefined): string {
    if (within !== undefined) return "EBUSY"
    const open = [...this.#transactions.values()].filter((each) => clients[each.client] === clients[client])
    if (clients[client] !== 0 && open.length > quotas.transactions) return "ENOSPC"
    const fresh = { seen: new Map(), changed: new Map(), told: new Map(), moved: new Map(), creates: false, refused: false, failed: false }
    this.#transactions.set(`${client} ${++this.#started}`, { client, ...fresh })
    return String(this.#started)
  }

  #end(client: number, id: number, verdict: string): string {
    if (verdict !== "T" && verdict !== "F") return "EINVAL"
    const transaction = this.#transactions.get(`${client} ${id}`)
    if (transaction === undefined) return "ENOENT"
    this.#transactions.delete(`${client} ${id}`)
    if (verdict === "F") return "OK"
    if (transaction.failed) return "ENOMEM"
    if (clients[client] !== 0 && transaction.creates && this.#isCrowdedBy(transaction)) return "ENOSPC"
    for (const [path, node] of transaction.seen) if (this.#nodes.get(path) !== node) return "EAGAIN"
    const told = [...transaction.told].filter(([path]) => this.#nodes.has(path) || transaction.changed.get(path) !== undefined)
    const before = told.map(([path]) => this.#around(path))
    for (const [path, node] of transaction.changed) this.#put(path, node)
    told.forEach(([path, exact], index) => this.#watches.tell(path, exact, [...before[index] ?? [], ...this.#around(path)]))
    return "OK"
  }

  #forget(client: number): void {
    this.#watches.forget(client)
    for (const [key, transaction] of this.#transactions) if (transaction.client === client) this.#transactions.delete(key)
  }

  #introduce(domid: number): void {
    if (this.#nodes.get(home(domid))) this.#remove(home(domid))
    this.#domains.add(domid)
    const readable = domid === 0 ? ["n0"] : ["n0", `r${domid}`]
    for (
      const [path, permissions, value] of [["", readable, ""], ["/domid", readable, String(domid)], ["/data", [`n${domid}`], ""]] as const
    ) {
      this.#create(0, home(domid) + path, value)
      this.#change(0, home(domid) + path, { value, permissions, children: [] })
    }
    this.#watches.special("@introduceDomain")
  }

  #release(domid: number): void {
    clients.forEach((each, client) => each === domid && this.#forget(client))
    this.#domains.delete(domid)
    if (this.#nodes.get(home(domid))) this.#remove(home(domid))
    for (const [path, node] of [...this.#nodes]) if (this.#nodes.get(path) && domidOf(node?.permissions[0]) === domid) this.#remove(path)
    for (const [path, node] of [...this.#nodes]) {
      const permissions = (node?.permissions ?? []).map((each) => domidOf(each) === domid ? `${each}!` : each)
      if (node) this.#put(path, { ...node, permissions })
    }
    this.#watches.special("@releaseDomain")
  }
}
