/**
 * Connections to an emulated host's sockets, in the hands of a process that sends whatever it is told to. They end with `close`.
 */
import { XenStoreWire } from "@vchan/xen"
import * as fc from "fast-check"
import * as net from "node:net"
import { besides, honest, hostile } from "./world.ts"

/** One thing to do; `connection` is counted among those that are open. */
export type SocketAction =
  | { readonly does: "open"; readonly socket: "control" | "store"; readonly joins: boolean }
  /** A request, of which only so many bytes are sent where that is told. */
  | {
    readonly does: "ask"
    readonly connection: number
    readonly operation: string
    readonly words: ReadonlyArray<string>
    readonly cut: number | undefined
  }
  /** A packet of the store's protocol, whose header may lie about its length. */
  | {
    readonly does: "packet"
    readonly connection: number
    readonly type: number
    readonly transactionId: number
    readonly payload: Uint8Array
    readonly length: number | undefined
    readonly times: number
  }
  | { readonly does: "bytes"; readonly connection: number; readonly bytes: Uint8Array; readonly times: number }
  | { readonly does: "end" | "break" | "stop reading" | "read"; readonly connection: number }
  | { readonly does: "wait"; readonly turns: number }

const connection = fc.nat(11)
const does = <const Name extends string>(name: Name) => fc.constant(name)
const number = fc.oneof(
  fc.nat(30),
  fc.constantFrom(-1, 1.5, 4095, 4096, 32751, 32752, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53)
).map(String)
/** Any process of the user may play any domain, and that is no attack: a hostile one joins and destroys only what is its own. */
const own = fc.constantFrom(String(hostile), "6")
const domid = fc.oneof(fc.constantFrom("0", String(honest), String(hostile), "9"), number)
const notify = fc.oneof(fc.constant("-"), fc.tuple(number, number).map(([byte, port]) => `${byte}:${port}`), fc.string({ maxLength: 5 }))
const oddly = fc.array(fc.oneof(number, fc.string({ maxLength: 8 })), { maxLength: 4 })

const request = fc.oneof(
  fc.tuple(fc.constant("share"), fc.tuple(domid, number, notify)),
  fc.tuple(fc.constant("map"), fc.tuple(domid, notify, fc.array(number, { maxLength: 20 })).map((words) => words.flat())),
  fc.tuple(fc.constantFrom("end-share", "end-map", "unbind"), fc.tuple(number)),
  fc.tuple(fc.constant("bind-unbound"), fc.tuple(domid)),
  fc.tuple(fc.constant("bind-interdomain"), fc.tuple(domid, number)),
  fc.tuple(fc.constantFrom("join", "destroy"), fc.tuple(own)),
  fc.tuple(fc.constantFrom("leave", "status", "dance", "__proto__", "constructor"), oddly),
  fc.tuple(fc.constantFrom("share", "map", "unbind", "bind-unbound", "bind-interdomain", "end-share"), oddly)
)

const storePaths = ["data/a", `/local/domain/${honest}/data/x`, "/", "@releaseDomain", "data/../x", "", "//", "x".repeat(3072)]
const payload = fc.oneof(
  fc.tuple(fc.constantFrom(...storePaths), fc.oneof(fc.constantFrom("", "\0", "\0token\0", "\0n5\0r3\0"), fc.string({ maxLength: 50 })))
    .map(
      ([path, rest]) => new Uint8Array(Buffer.from(path + rest))
    ),
  fc.uint8Array({ maxLength: 60 }),
  fc.constant(new Uint8Array(4096).fill(0x61))
)
const u32 = fc.oneof(fc.constantFrom(0, 1, 4096, 4097, 2 ** 31, 2 ** 32 - 1), fc.nat(5000))

/** Anything that a process may do to sockets. */
export const socketAction: fc.Arbitrary<SocketAction> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      does: does("open"),
      socket: fc.constantFrom("control", "store"),
      joins: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false))
    })
  },
  {
    weight: 10,
    arbitrary: fc.tuple(
      connection,
      request,
      fc.oneof({ weight: 25, arbitrary: fc.constant(undefined) }, fc.nat(30))
    ).map(([connection, [operation, words], cut]) => ({ does: "ask" as const, connection, operation, words, cut }))
  },
  {
    weight: 8,
    arbitrary: fc.record({
      does: does("packet"),
      connection,
      type: fc.oneof({ weight: 12, arbitrary: fc.nat(24) }, u32),
      transactionId: fc.oneof({ weight: 4, arbitrary: fc.nat(3) }, u32),
      payload,
      length: fc.oneof({ weight: 15, arbitrary: fc.constant(undefined) }, u32),
      times: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, fc.constant(500))
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: does("bytes"),
      connection,
      bytes: fc.uint8Array({ maxLength: 100 }),
      times: fc.constantFrom(1, 1, 1, 1000, 20_000)
    })
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constantFrom("end", "break", "stop reading", "read"), connection }) },
  { weight: 4, arbitrary: fc.record({ does: does("wait"), turns: fc.integer({ min: 1, max: 5 }) }) }
)

/** Where the ids of right requests begin: no others are that large. */
const firstId = 1_000_000_000

export class HostileSockets {
  /** What the host granted and must not have. */
  wrong: string | undefined = undefined
  private readonly directory: string
  private readonly note: (met: string) => void
  private readonly open: Array<{ readonly kind: "control" | "store"; readonly socket: net.Socket }> = []
  private readonly asked = new Map<string, string>()
  private nextId = firstId

  constructor(directory: string, note: (met: string) => void) {
    this.directory = directory
    this.note = note
  }

  /** Does one thing; returns how many turns to wait. */
  act(action: SocketAction): number {
    if (action.does === "wait") return action.turns
    if (action.does === "open") {
      this.connect(action)
      return 1
    }
    // A request for one kind of socket is nonsense to the other, of which `bytes` has enough.
    const fitting = this.open.filter(({ kind }) =>
      action.does === "ask" ? kind === "control" : action.does !== "packet" || kind === "store"
    )
    const socket = fitting[action.connection % fitting.length]?.socket
    if (socket === undefined) return 0
    switch (action.does) {
      case "ask":
        socket.write(this.line(action.operation, action.words).slice(0, action.cut))
        return 0
      case "packet": {
        const bytes = XenStoreWire.encode({ ...action, requestId: 7 })
        if (action.length !== undefined) new DataView(bytes.buffer).setUint32(12, action.length, true)
        for (let times = 0; times < action.times; times++) socket.write(bytes)
        return 0
      }
      case "bytes":
        socket.write(Buffer.concat(Array.from({ length: action.times }, () => action.bytes)))
        return 0
      case "end":
        socket.end()
        return 0
      case "break":
        socket.destroy()
        return 0
      case "stop reading":
        socket.pause()
        return 0
      case "read":
        socket.resume()
        return 0
    }
  }

  /** What waits in this process to be sent, in bytes. */
  get held(): number {
    return this.open.reduce((sum, { socket }) => sum + socket.writableLength, 0)
  }

  /** Ends all connections. */
  close(): void {
    for (const { socket } of this.open) socket.destroy()
  }

  private connect({ joins, socket: kind }: Extract<SocketAction, { readonly does: "open" }>): void {
    const socket = net.createConnection({
      path: `${this.directory}/${kind === "control" ? "control" : `xs.${hostile}`}`,
      allowHalfOpen: true
    })
    this.open.push({ kind, socket })
    socket.on("error", () => {})
    if (kind === "store") socket.resume()
    else this.hear(socket)
    if (kind === "control" && joins) socket.write(this.line("join", [String(hostile)]))
  }

  private hear(socket: net.Socket): void {
    let rest = ""
    socket.on("data", (bytes) => {
      const lines = (rest + bytes.toString("latin1")).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) {
        const [id = "", verdict = "", code = ""] = line.split(" ")
        const asked = this.asked.get(id)
        if (asked === undefined) continue
        this.note(verdict === "ok" ? `${asked.split(" ")[0]} ok` : code)
        // Nobody has lent it anything, nor offered it a port, but the hostile domains to themselves.
        const isOthers = new RegExp(`^(map|bind-interdomain) (0|${honest}|${besides})( |$)`).test(asked)
        if (verdict === "ok" && isOthers) this.wrong = `${asked} was granted`
      }
    })
  }

  private line(operation: string, words: ReadonlyArray<string>): string {
    const id = String(this.nextId++)
    const asked = [operation, ...words].join(" ")
    // A word may hold the end of a line: then what is asked is something else.
    if (!asked.includes("\n")) this.asked.set(id, asked)
    return `${id} ${asked}\n`
  }
}
