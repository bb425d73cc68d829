/**
 * A client of a {@link XenStoreTree} that talks packets, for tests of the store's own semantics.
 */
import { type StoreSession, XenStoreTree } from "../../src/XenStoreTree.ts"
import * as Wire from "../../src/XenStoreWire.ts"

const { Operation } = Wire

/** One connection. Answers are texts, an error's is its errno's name, and what came first is first in `log`. */
export class StoreClient {
  readonly session: StoreSession
  /** The events since the last look: `path token`. */
  #events: Array<string> = []
  /** All that came: `reply` or `event`. */
  readonly log: Array<string> = []
  #reply: Wire.Packet | undefined

  constructor(tree: XenStoreTree, domid: number) {
    this.session = tree.connect(domid, (packet) => {
      if (packet.type === Operation.WATCH_EVENT) {
        this.log.push("event")
        this.#events.push((Wire.decodeStrings(packet.payload) ?? []).join(" "))
      } else {
        this.log.push("reply")
        this.#reply = packet
      }
    })
  }

  send(type: number, payload: Uint8Array, transactionId = 0): Wire.Packet | undefined {
    this.#reply = undefined
    this.session.handle({ type, requestId: 1, transactionId, payload })
    return this.#reply
  }

  /** The reply's text, without the NUL at the end where there is one. */
  ask(type: number, texts: ReadonlyArray<string>, transactionId = 0): string {
    const reply = this.send(type, Wire.encodeStrings(texts), transactionId)
    return reply === undefined ? "nothing" : (Wire.decodeText(reply.payload) ?? "bytes").replace(/\0$/, "")
  }

  read = (path: string, transaction = 0): string => this.ask(Operation.READ, [path], transaction)
  directory = (path: string, transaction = 0): string => this.ask(Operation.DIRECTORY, [path], transaction).replaceAll("\0", " ")
  makeDirectory = (path: string, transaction = 0): string => this.ask(Operation.MKDIR, [path], transaction)
  remove = (path: string, transaction = 0): string => this.ask(Operation.RM, [path], transaction)
  permissions = (path: string, transaction = 0): string => this.ask(Operation.GET_PERMS, [path], transaction).replaceAll("\0", " ")
  chmod = (path: string, permissions: string, transaction = 0): string =>
    this.ask(Operation.SET_PERMS, [path, ...permissions.split(" ")], transaction)
  watch = (path: string, token = "t"): string => this.ask(Operation.WATCH, [path, token])
  unwatch = (path: string, token = "t"): string => this.ask(Operation.UNWATCH, [path, token])
  start = (): number => Number(this.ask(Operation.TRANSACTION_START, [""]))
  end = (transaction: number, verdict = "T"): string => this.ask(Operation.TRANSACTION_END, [verdict], transaction)
  write(path: string, value: string, transaction = 0): string {
    const reply = this.send(Operation.WRITE, Wire.encodeWrite(path, Wire.encodeText(value)), transaction)
    return reply === undefined ? "nothing" : (Wire.decodeStrings(reply.payload) ?? [])[0] ?? ""
  }

  /** The events since the last look. */
  events(): ReadonlyArray<string> {
    const events = this.#events
    this.#events = []
    return events
  }
}

/** A store with the domains 1, 2 and 3, and a client of each and of domain 0. */
export const makeStore = (options?: ConstructorParameters<typeof XenStoreTree>[0]) => {
  const tree = new XenStoreTree(options)
  for (const domid of [1, 2, 3]) tree.introduce(domid)
  const client = (domid: number): StoreClient => new StoreClient(tree, domid)
  return { tree, client, dom0: client(0), dom1: client(1), dom2: client(2), dom3: client(3) }
}
