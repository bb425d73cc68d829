/**
 * Debian's xenstored on plain Linux, with hypervisor.c for its hypervisor, as the steps see it. Domain 0 comes over the socket, guests over rings in
 * pages that are files.
 *
 * Ends with its directory by `close`; it ends by itself when this process does.
 */
import { XenStoreWire } from "@vchan/xen"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { Debian } from "../interop/debian.ts"
import { clients, quotas, visitor } from "./Step.ts"
import type { Store } from "./Store.ts"

/** Where a ring's page has what (`xenstore_domain_interface` in public/io/xs_wire.h). */
const at = { requests: 0, replies: 1024, requestsRead: 2048, requestsWritten: 2052, repliesRead: 2056, repliesWritten: 2060 }
const ringSize = 1024

/** It tells that domains came or went. */
const domainsPort = 1
const portOf = (domid: number) => 2 + domid

const arguments_ = [
  "--no-fork",
  "--no-recovery",
  ["--entry-nb", quotas.nodes],
  ["--watch-nb", quotas.watches],
  ["--transaction", quotas.transactions],
  ["--perm-nb", quotas.permissions],
  ["--entry-size", quotas.nodeSize],
  ["--quota", `transaction-nodes=${quotas.transactionNodes}`],
  ["--timeout", "watch-event=0"]
].flat().map(String)

/** One client; answers come in the order of the questions. */
class Client {
  readonly #decoder = new XenStoreWire.Decoder()
  readonly #waiting: Array<(answer: string) => void> = []
  readonly #send: (bytes: Uint8Array) => void
  events: Array<string> = []

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send
  }

  receive(bytes: Uint8Array): void {
    for (const { payload, type } of this.#decoder.feed(bytes).packets) {
      const text = new TextDecoder().decode(payload).replace(/\0$/, "").replaceAll("\0", " ")
      if (type === XenStoreWire.Operation.WATCH_EVENT) this.events.push(text)
      else this.#waiting.shift()?.(text)
    }
  }

  async ask(asked: string, texts: ReadonlyArray<string>, transactionId = 0): Promise<string> {
    const type = operations.get(asked) ?? -1
    const [path = "", value = ""] = texts
    const payload = asked === "WRITE" ? XenStoreWire.encodeWrite(path, XenStoreWire.encodeText(value)) : XenStoreWire.encodeStrings(texts)
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve))
    this.#send(XenStoreWire.encode({ type, requestId: 1, transactionId, payload }))
    return within(`an answer to ${asked} ${texts.join(" ")}`, answer)
  }
}

const operations: ReadonlyMap<string, number> = new Map(Object.entries(XenStoreWire.Operation))

const within = async <A>(what: string, promise: Promise<A>): Promise<A> => {
  const late = new AbortController()
  const never = sleep(60_000, undefined, late).then(() => Promise.reject(new Error(`never came from xenstored: ${what}`)))
  try {
    return await Promise.race([promise, never])
  } finally {
    late.abort()
    never.catch(() => {})
  }
}

/** The store. */
export class Xenstored implements Store {
  readonly #directory: string
  readonly #process: ChildProcess
  readonly #events: net.Socket
  readonly #rings = new Map<number, { readonly file: number; readonly client: Client }>()
  readonly #sockets: ReadonlyArray<net.Socket>
  readonly #controllers: ReadonlyArray<Client>

  private constructor(directory: string, process: ChildProcess, events: net.Socket, sockets: ReadonlyArray<net.Socket>) {
    this.#directory = directory
    this.#process = process
    this.#events = events
    this.#sockets = sockets
    this.#controllers = sockets.map((socket) => {
      const client = new Client((bytes) => void socket.write(bytes))
      socket.on("data", (bytes) => client.receive(Buffer.from(bytes)))
      return client
    })
    let rest = Buffer.alloc(0)
    events.on("data", (bytes) => {
      rest = Buffer.concat([rest, Buffer.from(bytes)])
      for (; rest.length >= 4; rest = rest.subarray(4)) this.#drain(rest.readUInt32LE() - portOf(0))
    })
  }

  /** Starts it, with domain 0 and the guests that are there from the start. */
  static async start(debian: Debian): Promise<Xenstored> {
    const directory = fs.mkdtempSync("/tmp/vchan-model-")
    fs.writeFileSync(`${directory}/ring.0`, new Uint8Array(4096))
    fs.writeFileSync(`${directory}/port`, "1")
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(`${directory}/events`, resolve))
    const process = spawn(path.join(debian.root, "usr/lib/xen-4.17/bin/xenstored"), arguments_, {
      env: {
        MODEL_HOST: directory,
        XENSTORED_RUNDIR: directory,
        XENSTORED_ROOTDIR: directory,
        LD_LIBRARY_PATH: debian.libraries,
        LD_PRELOAD: debian.hypervisor
      },
      stdio: ["ignore", "ignore", "ignore"]
    })
    const ended = new Promise<never>((_, reject) => process.once("exit", (code) => reject(new Error(`xenstored ended with ${code}`))))
    ended.catch(() => {})
    const connected = new Promise<net.Socket>((resolve) => server.once("connection", resolve))
    const events = await within("its start", Promise.race([connected, ended]))
    server.close()
    // It rings domain 0 when all is there.
    await within("its start", Promise.race([new Promise((resolve) => events.once("readable", resolve)), ended]))
    const sockets = await Promise.all(
      clients.filter((domid) => domid === 0).map(() =>
        new Promise<net.Socket>((resolve, reject) => {
          const socket = net.connect(`${directory}/socket`, () => resolve(socket))
          socket.once("error", reject)
        })
      )
    )
    const store = new Xenstored(directory, process, events, sockets)
    await store.#furnish()
    return store
  }

  async ask(client: number, asked: string, texts: ReadonlyArray<string>, transaction: number): Promise<string> {
    const asking = this.#client(client)
    if (asking === undefined) throw new Error(`there is no client ${client}`)
    return asking.ask(asked, texts, transaction)
  }

  async takeEvents(): Promise<ReadonlyArray<ReadonlyArray<string>>> {
    const taken: Array<ReadonlyArray<string>> = []
    for (const client of clients.keys()) {
      const asking = this.#client(client)
      // What comes before the answer to a question came before the question.
      await asking?.ask("GET_DOMAIN_PATH", ["0"])
      taken.push(asking?.events ?? [])
      if (asking !== undefined) asking.events = []
    }
    return taken
  }

  async visit(): Promise<void> {
    const ring = this.#rings.get(visitor)
    if (ring === undefined) return this.#introduce(visitor)
    this.#rings.delete(visitor)
    fs.closeSync(ring.file)
    fs.rmSync(`${this.#directory}/ring.${visitor}`)
    this.#ring(domainsPort)
    while ((await this.#toolstack("IS_DOMAIN_INTRODUCED", String(visitor))) !== "F") await sleep(1)
    await this.#toolstack("RM", `/local/domain/${visitor}`)
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve))
    this.#process.kill("SIGKILL")
    for (const socket of [...this.#sockets, this.#events]) socket.destroy()
    for (const { file } of this.#rings.values()) fs.closeSync(file)
    await ended
    fs.rmSync(this.#directory, { recursive: true })
  }

  #client(client: number): Client | undefined {
    const domid = clients[client] ?? 0
    return domid === 0 ? this.#controllers[client] : this.#rings.get(domid)?.client
  }

  #toolstack(asked: string, ...texts: ReadonlyArray<string>): Promise<string> {
    const [client] = this.#controllers
    return client === undefined ? Promise.reject(new Error("domain 0 is not there")) : client.ask(asked, texts)
  }

  /** What a toolstack would do: the tree is as ours begins. */
  async #furnish(): Promise<void> {
    await this.#toolstack("RM", "/tool")
    await this.#home(0, ["n0"])
    for (const domid of new Set(clients)) if (domid !== 0 && domid !== visitor) await this.#introduce(domid)
  }

  async #introduce(domid: number): Promise<void> {
    const name = `${this.#directory}/ring.${domid}`
    fs.writeFileSync(name, new Uint8Array(4096))
    const file = fs.openSync(name, "r+")
    this.#rings.set(domid, { file, client: new Client((bytes) => this.#request(domid, file, bytes)) })
    await this.#toolstack("INTRODUCE", String(domid), "1", "1")
    await this.#toolstack("RM", `/local/domain/${domid}`)
    await this.#home(domid, ["n0", `r${domid}`])
  }

  async #home(domid: number, readable: ReadonlyArray<string>): Promise<void> {
    const home = `/local/domain/${domid}`
    await this.#toolstack("MKDIR", home)
    await this.#toolstack("SET_PERMS", home, ...readable)
    await this.#toolstack("WRITE", `${home}/domid`, String(domid))
    await this.#toolstack("SET_PERMS", `${home}/domid`, ...readable)
    await this.#toolstack("MKDIR", `${home}/data`)
    await this.#toolstack("SET_PERMS", `${home}/data`, `n${domid}`)
  }

  #ring(port: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(port)
    this.#events.write(bytes)
  }

  #request(domid: number, file: number, bytes: Uint8Array): void {
    const written = word(file, at.requestsWritten)
    if (bytes.length > ringSize - (written - word(file, at.requestsRead))) throw new Error("the ring is full")
    for (const [index, byte] of bytes.entries()) {
      fs.writeSync(file, Uint8Array.of(byte), 0, 1, at.requests + ((written + index) & (ringSize - 1)))
    }
    setWord(file, at.requestsWritten, written + bytes.length)
    this.#ring(portOf(domid))
  }

  #drain(domid: number): void {
    const ring = this.#rings.get(domid)
    if (ring === undefined) return
    const { client, file } = ring
    const read = word(file, at.repliesRead)
    const bytes = new Uint8Array(word(file, at.repliesWritten) - read)
    const page = new Uint8Array(ringSize)
    fs.readSync(file, page, 0, ringSize, at.replies)
    for (const index of bytes.keys()) bytes[index] = page[(read + index) & (ringSize - 1)] ?? 0
    setWord(file, at.repliesRead, read + bytes.length)
    if (bytes.length > 0) this.#ring(portOf(domid))
    client.receive(bytes)
  }
}

const word = (file: number, at: number): number => {
  const bytes = Buffer.alloc(4)
  fs.readSync(file, bytes, 0, 4, at)
  return bytes.readUInt32LE()
}

const setWord = (file: number, at: number, value: number): void => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  fs.writeSync(file, bytes, 0, 4, at)
}
