/**
 * The cases, in the order in which they run. The last ones cost a domain its life.
 */
import { Effect } from "effect"
import { BenchError } from "./Programs.ts"
import { ask, type Case, ends, expect, type Kind, meeting, type World } from "./World.ts"

const KiB = 1024
const MiB = 1024 * KiB

/** Both directions at once, each with its checksum. */
const exchange = Effect.fnUntraced(function*(options: {
  readonly at: ReturnType<typeof meeting>
  readonly server: Kind
  readonly client: Kind
  readonly bytes: number
  readonly packet: number
}) {
  const { at, bytes, packet } = options
  const server = yield* at.serve(options.server, "pump", bytes, bytes, packet)
  const client = yield* at.connect(options.client, "pump", bytes, bytes, packet)
  yield* ends("the client", client)
  yield* ends("the server", server)
  yield* expect("what the client received", yield* client.said("received"), yield* server.said("sent"))
  yield* expect("what the server received", yield* server.said("received"), yield* client.said("sent"))
})

/** The least sizes that lead to each pair of orders, and how much goes each way: a small ring costs a wake-up for each time it is full. */
const rings = [
  { orders: "10/11", sizes: [KiB, 2 * KiB], bytes: 256 * KiB },
  { orders: "11/10", sizes: [2 * KiB, KiB], bytes: 256 * KiB },
  { orders: "11/12", sizes: [2 * KiB, 2 * KiB], bytes: 256 * KiB },
  { orders: "12/12", sizes: [4 * KiB, 4 * KiB], bytes: MiB },
  { orders: "16/16", sizes: [64 * KiB, 64 * KiB], bytes: 16 * MiB },
  { orders: "20/20", sizes: [MiB, MiB], bytes: 16 * MiB }
] as const

const amount = (bytes: number): string => bytes < MiB ? `${bytes / KiB} KiB` : `${bytes / MiB} MiB`

const interop: ReadonlyArray<Case> = rings.flatMap(({ bytes, orders, sizes }) =>
  (["C", "TypeScript"] as const).flatMap((server) =>
    [0, 1000].map((packet): Case => {
      const client = server === "C" ? "TypeScript" : "C"
      const how = packet === 0 ? "as a stream" : `in packets of ${packet}`
      return {
        name: `orders ${orders}: ${amount(bytes)} each way at once between a ${server} server and a ${client} client, ${how}`,
        run: ({ one, two }) => exchange({ at: meeting(one, two, sizes), server, client, bytes, packet })
      }
    })
  )
)

const basics: ReadonlyArray<Case> = [
  {
    name: "each domain reads its own domid",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      for (const domain of [dom0, one, two]) {
        yield* expect(`the domid of ${domain.name}`, Number(yield* ask(domain, ["xenstore-read", "domid"])), domain.domid)
      }
    })
  },
  {
    name: "C with C, as Debian has it: 1 MiB each way between the guests",
    run: ({ one, two }) => exchange({ at: meeting(one, two), server: "C", client: "C", bytes: MiB, packet: 0 })
  },
  ...([["one", "two"], ["dom0", "one"], ["two", "dom0"]] as const).map(([server, client]): Case => ({
    name: `TypeScript with TypeScript: 1 MiB each way, server in ${server}, client in ${client}`,
    run: (world) =>
      exchange({ at: meeting(world[server], world[client]), server: "TypeScript", client: "TypeScript", bytes: MiB, packet: 0 })
  })),
  ...([["dom0", "two", "C"], ["one", "dom0", "C"], ["dom0", "one", "TypeScript"], ["two", "dom0", "TypeScript"]] as const).map((
    [server, client, kind]
  ): Case => ({
    name: `1 MiB each way between a ${kind} server in ${server} and a ${kind === "C" ? "TypeScript" : "C"} client in ${client}`,
    run: (world) =>
      exchange({
        at: meeting(world[server], world[client]),
        server: kind,
        client: kind === "C" ? "TypeScript" : "C",
        bytes: MiB,
        packet: 0
      })
  }))
]

/** Some round trips; the server ends after so many bytes. */
const rounds = 20

const clients: ReadonlyArray<Case> = [
  ...([["TypeScript", "C"], ["C", "TypeScript"]] as const).map(([server, client]): Case => ({
    name: `a second ${client} client follows the first on the same rings of a ${server} server`,
    run: Effect.fnUntraced(function*({ one, two }) {
      const at = meeting(one, two, [KiB, KiB])
      const running = yield* at.serve(server, "serve", 3 * rounds * 64)
      for (let turn = 0; turn < 3; turn++) yield* ends(`client ${turn}`, yield* at.connect(client, "ping", rounds))
      yield* ends("the server", running)
    })
  })),
  ...(["TypeScript", "C"] as const).map((server): Case => ({
    name: `a second client is refused while a ${server} server has one`,
    run: Effect.fnUntraced(function*({ one, two }) {
      const at = meeting(one, two)
      const running = yield* at.serve(server, "hold")
      const first = yield* at.connect("C", "hold")
      yield* first.said("connected")
      yield* running.said("connected")
      const inC = yield* at.connect("C", "hold")
      yield* inC.said("failed: client_init")
      const inTypeScript = yield* at.connect("TypeScript", "hold")
      yield* inTypeScript.said("failed: Refused")
    })
  }))
]

const ending: ReadonlyArray<Case> = [
  ...([["C", "TypeScript"], ["TypeScript", "C"]] as const).flatMap(([writer, reader]) =>
    (["server", "client"] as const).map((role): Case => ({
      name: `a ${writer} ${role} writes and closes at once, and ${reader} reads every byte`,
      run: Effect.fnUntraced(function*({ one, two }) {
        for (const bytes of [1, 60_000, 200_000]) {
          const at = meeting(one, two)
          const write = ["pump", bytes, 0, 0] as const
          const read = ["pump", 0, -1, 0] as const
          const server = yield* role === "server" ? at.serve(writer, ...write) : at.serve(reader, ...read)
          const client = yield* role === "server" ? at.connect(reader, ...read) : at.connect(writer, ...write)
          const [from, to] = role === "server" ? [server, client] : [client, server]
          yield* ends("the writer", from)
          yield* ends("the reader", to)
          yield* expect("what was received", yield* to.said("received"), yield* from.said("sent"))
        }
      })
    }))
  ),
  ...([["C", "TypeScript"], ["process", "C"], ["process", "TypeScript"]] as const).flatMap(([killed, left]) =>
    (["server", "client"] as const).map((role): Case => ({
      name: `kill -9 of a ${killed === "C" ? "C" : "TypeScript"} ${role} is noticed by ${left}`,
      run: Effect.fnUntraced(function*({ one, two }) {
        const at = meeting(one, two)
        const server = yield* at.serve(role === "server" ? killed : left, "hold")
        const client = yield* at.connect(role === "client" ? killed : left, "hold")
        yield* Effect.all([server.said("connected"), client.said("connected")])
        const [victim, survivor] = role === "server" ? [server, client] : [client, server]
        yield* victim.kill
        yield* expect("the end", yield* survivor.said("gone"), left === "C" ? "" : "PeerGone")
        yield* survivor.exit
        // A server that is killed leaves its keys: the store knows nothing of processes.
        if (role === "server") yield* ask(one, ["sh", "-c", `xenstore-rm ${at.path}; echo`])
      })
    }))
  )
]

const echoExample = (world: World, server: "one" | "dom0", callers: ReadonlyArray<"dom0" | "one" | "two">) =>
  Effect.gen(function*() {
    const guest = yield* world[server].start(["node", "/bench/echo-guest.js"])
    yield* expect("the guest", yield* guest.said(`domain ${world[server].domid} serves`), "echo")
    yield* Effect.forEach(callers, (caller) =>
      Effect.gen(function*() {
        const client = yield* world[caller].start(["node", "/bench/echo-client.js", String(world[server].domid)])
        yield* expect("the greeting", yield* client.said("domain"), `${world[caller].domid} said hello`)
        for (const line of ["counted 1", "counted 2", "counted 3", "HELLO was too loud", "waited long enough"]) yield* client.said(line)
        yield* ends("the client", client)
      }), { concurrency: "unbounded" })
    yield* guest.said("Wait was interrupted")
  })

const services: ReadonlyArray<Case> = [
  { name: "the typed echo example, unchanged, between two unprivileged guests", run: (world) => echoExample(world, "one", ["two"]) },
  { name: "the typed echo example, unchanged, from a guest to dom0", run: (world) => echoExample(world, "dom0", ["one"]) },
  {
    name: "the typed echo example, unchanged, from dom0 and a guest to a guest at once",
    run: (world) => echoExample(world, "one", ["dom0", "two"])
  }
]

/** A suite runs as a process of Node's test runner, whose words are TAP's. */
const contracts: ReadonlyArray<Case> = (["dom0", "one"] as const).flatMap((where) =>
  ["GrantTable", "EventChannel", "XenStore"].map((suite): Case => ({
    name: `the contract of ${suite} holds in ${where === "dom0" ? "dom0" : "a guest"}`,
    run: Effect.fnUntraced(function*(world) {
      const runner = yield* world[where].start(["node", "--test-reporter=tap", "/bench/conformance.js", suite])
      const code = yield* runner.exit
      if (code !== 0) {
        const name = yield* runner.said("    not ok")
        const why = yield* runner.said("      error:")
        return yield* new BenchError({ message: `${name}: ${why}` })
      }
      const count = Number(yield* runner.said("    1.."))
      for (let index = 1; index <= count; index++) yield* world.note(`- ${yield* runner.said(`    ok ${index} -`)}`)
    })
  }))
)

export const cases: ReadonlyArray<Case> = [...basics, ...contracts, ...clients, ...ending, ...services, ...interop]
