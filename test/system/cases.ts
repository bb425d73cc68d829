/**
 * The cases, in the order in which they run. The last ones cost a domain its life.
 */
import { Effect } from "effect"
import { crc32 } from "node:zlib"
import { BenchError } from "./Programs.ts"
import { ask, type Case, type Domain, ends, expect, type Kind, meeting, type World } from "./World.ts"

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

/** How a command that shows something of XenStore ends: with 0 where it may. */
const sees = (domain: Domain, ...argv: ReadonlyArray<string>) => Effect.scoped(Effect.flatMap(domain.start(argv), ({ exit }) => exit))

const admission: ReadonlyArray<Case> = [
  {
    name: "a domain that is not admitted can neither see a listener's keys nor connect",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      const at = meeting(one, two)
      yield* at.serve("TypeScript", "listen", 0)
      const places = ["", "/req/0", "/listener"].map((name) => `${at.path}${name}`)
      for (const place of places) {
        yield* expect(`xenstore-ls ${place} in a guest`, yield* sees(two, "xenstore-ls", place), 1)
        yield* expect(`xenstore-write below ${place} in a guest`, yield* sees(two, "xenstore-write", `${place}/key`, "x"), 1)
      }
      yield* (yield* at.connect("TypeScript", "ask")).said("failed: ServerAbsent")
      const admitted = yield* dom0.start(["peer-ts", "client", String(one.domid), at.path, "0", "0", "ask"])
      yield* ends("dom0, which is admitted", admitted)
    })
  },
  {
    name: "a domain that a server is not for can neither read its keys nor connect",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      for (const kind of ["C", "TypeScript"] as const) {
        const at = meeting(one, dom0)
        yield* at.serve(kind, "hold")
        yield* expect("xenstore-read of the ring in a guest", yield* sees(two, "xenstore-read", `${at.path}/ring-ref`), 1)
        const stranger = [String(one.domid), at.path, "0", "0", "hold"]
        yield* (yield* two.start(["peer", "client", ...stranger])).said("failed: client_init")
        yield* (yield* two.start(["peer-ts", "client", ...stranger])).said("failed: ServerAbsent")
        if (kind === "C") yield* ask(one, ["sh", "-c", `xenstore-rm ${at.path}; echo`])
      }
    })
  },
  {
    name: "a listener serves two domains at once",
    run: Effect.fnUntraced(function*({ dom0, one, two }) {
      const at = meeting(one, two)
      const listener = yield* at.serve("TypeScript", "listen", "any")
      const askers = yield* Effect.forEach(
        [dom0, two],
        (domain) => domain.start(["peer-ts", "client", String(one.domid), at.path, "0", "0", "ask", "hold"])
      )
      yield* Effect.forEach([dom0, two], ({ domid }) => listener.said(`came ${domid}`))
      yield* Effect.forEach(askers, ({ said }) => said("answered"))
      yield* Effect.forEach(askers, ({ kill }) => kill)
      yield* Effect.forEach([dom0, two], ({ domid }) => listener.said(`left ${domid}`))
    })
  }
]

/** Debian's vchan-socket-proxy, its standard output and input being the other end. */
const proxy: ReadonlyArray<Case> = (["server", "client"] as const).map((role) => ({
  name: `Debian's vchan-socket-proxy as ${role} passes 1 MB to TypeScript`,
  run: Effect.fnUntraced(function*({ one, two }) {
    const at = meeting(one, two)
    // It ends with its vchan, not with its standard input.
    const command = `(seq 1 200000 | head -c 1000000; sleep 1000) | vchan-socket-proxy --mode=${role}`
    const run = (peer: Domain) => ["sh", "-c", `${command} ${peer.domid} ${at.path} -`]
    const work = ["pump", 0, 1_000_000, 0] as const
    const expected = `1000000 ${
      crc32(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("").slice(0, 1_000_000)).toString(16).padStart(8, "0")
    }`
    if (role === "client") {
      const server = yield* at.serve("TypeScript", ...work)
      const other = yield* two.start(run(one))
      yield* server.said("connected")
      yield* Effect.andThen(Effect.sleep("3 seconds"), other.kill)
      yield* expect("what came", yield* server.said("received"), expected)
    } else {
      yield* one.start(run(two))
      const client = yield* at.connect("TypeScript", ...work)
      yield* expect("what came", yield* client.said("received"), expected)
    }
  })
}))

const pairs: ReadonlyArray<readonly [server: Kind, client: Kind]> = [
  ["C", "C"],
  ["C", "TypeScript"],
  ["TypeScript", "C"],
  ["TypeScript", "TypeScript"]
]

/** Told, not judged: on an emulated CPU only the ratios say something, and a machine that is busy moves them too. */
const speed: ReadonlyArray<Case> = [
  {
    name: "the speed of each pair between the guests is told",
    run: Effect.fnUntraced(function*({ note, one, two }) {
      const results = yield* Effect.forEach(pairs, ([server, client]) =>
        Effect.gen(function*() {
          // Twice, of which the second counts: the first compiles.
          const rounds = 400
          const pinged = meeting(one, two)
          const echo = yield* pinged.serve(server, "serve", 2 * rounds * 64)
          yield* ends("the first client", yield* pinged.connect(client, "ping", rounds))
          const pinging = yield* pinged.connect(client, "ping", rounds)
          const micros = Number(yield* pinging.said("median"))
          yield* ends("the echo", echo)
          let rate = 0
          for (const bytes of [4 * MiB, 16 * MiB]) {
            const flooded = meeting(one, two)
            const drain = yield* flooded.serve(server, "drain", bytes)
            const flood = yield* flooded.connect(client, "flood", bytes)
            rate = Number(yield* flood.said("rate"))
            yield* ends("the drain", drain)
          }
          return { name: `${server} server, ${client} client`, micros, rate }
        }))
      const [c] = results
      if (c === undefined) return
      for (const { micros, name, rate } of results) {
        const [round, stream] = [c.micros / micros, rate / c.rate].map((ratio) => ratio.toFixed(2))
        yield* note(
          `${name}: 64 B there and back ${micros} us (${round} of C's speed), 64 KiB one way ${(rate / KiB).toFixed(1)} MiB/s (${stream})`
        )
      }
    })
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
        return yield* new BenchError({ message: `${name}: ${why === "|-" ? yield* runner.said("        ") : why}` })
      }
      const count = Number(yield* runner.said("    1.."))
      for (let index = 1; index <= count; index++) yield* world.note(`- ${yield* runner.said(`    ok ${index} -`)}`)
    })
  }))
)

/**
 * A destroyed domain sends no event and clears no byte. dom0 is told by the hypervisor; a guest sees a key vanish that was in the dead domain's
 * tree, or that the dead domain owned. What is left uncovered is a guest's raw server, whose client owns no key.
 */
const destruction: ReadonlyArray<Case> = [{
  name: "xl destroy of a domain is noticed within 2 s by dom0's server and client, by a guest's client, and by a guest's listener",
  run: Effect.fnUntraced(function*({ destroy, dom0, note, one, two }) {
    const [atDom0, atOne, atTwo, seenByDom0] = [meeting(dom0, two), meeting(one, two), meeting(two, one), meeting(two, dom0)]
    const server = yield* atDom0.serve("TypeScript", "hold")
    yield* atDom0.connect("C", "hold")
    const listener = yield* atOne.serve("TypeScript", "listen", "any")
    yield* (yield* atOne.connect("TypeScript", "ask", "hold")).said("answered")
    yield* atTwo.serve("C", "hold")
    const client = yield* atTwo.connect("TypeScript", "hold")
    yield* seenByDom0.serve("C", "hold")
    const dom0Client = yield* seenByDom0.connect("TypeScript", "hold")
    yield* Effect.forEach([server, client, dom0Client], ({ said }) => said("connected"))
    const witnesses = [
      ["dom0's server", server.said("gone")],
      ["dom0's client", dom0Client.said("gone")],
      ["a guest's client", client.said("gone")],
      ["a guest's listener", listener.said(`left ${two.domid}`)]
    ] as const
    yield* destroy(two)
    const begun = performance.now()
    yield* Effect.forEach(witnesses, ([who, said]) =>
      Effect.gen(function*() {
        yield* expect(`what ${who} was told`, yield* said, "DomainGone")
        yield* note(`${who} knew ${((performance.now() - begun) / 1000).toFixed(1)} s after xl had destroyed it`)
      }).pipe(Effect.timeoutOrElse({
        duration: "2 seconds",
        orElse: () => Effect.fail(new BenchError({ message: `${who} did not notice it` }))
      })), { concurrency: "unbounded" })
  })
}]

export const cases: ReadonlyArray<Case> = [
  ...basics,
  ...contracts,
  ...admission,
  ...proxy,
  ...clients,
  ...ending,
  ...services,
  ...interop,
  ...speed,
  ...destruction
]
