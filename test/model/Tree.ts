/**
 * The store of the emulated host and of the backend in memory, as the steps see it.
 */
import { XenStoreTree, XenStoreWire } from "@vchan/xen"
import { StoreClient } from "../../packages/xen/test/support/storeClient.ts"
import { clients, quotas, visitor } from "./Step.ts"
import type { Store } from "./Store.ts"

const operations: ReadonlyMap<string, number> = new Map(Object.entries(XenStoreWire.Operation))

/** The store. */
export class Tree implements Store {
  readonly #tree = new XenStoreTree({ quotas })
  readonly #clients: Array<StoreClient>

  constructor() {
    for (const domid of new Set(clients)) if (domid !== 0) this.#tree.introduce(domid)
    this.#clients = clients.map((domid) => new StoreClient(this.#tree, domid))
    this.#tree.release(visitor)
    this.takeEvents()
  }

  ask(client: number, asked: string, texts: ReadonlyArray<string>, transaction: number): string {
    const [path = "", value = ""] = texts
    const asking = this.#clients[client]
    if (asking === undefined) throw new Error(`there is no client ${client}`)
    if (asked === "WRITE") return asking.write(path, value, transaction)
    return asking.ask(operations.get(asked) ?? -1, texts, transaction).replaceAll("\0", " ")
  }

  takeEvents(): ReadonlyArray<ReadonlyArray<string>> {
    return this.#clients.map((client) => client.events())
  }

  visit(): void {
    if (this.#tree.stats().domains.includes(visitor)) return this.#tree.release(visitor)
    this.#tree.introduce(visitor)
    clients.forEach((domid, client) => {
      if (domid === visitor) this.#clients[client] = new StoreClient(this.#tree, domid)
    })
  }
}
