/**
 * Bytes both ways at once, with a checksum each: which domains, whose code, which rings.
 */
import { Effect } from "effect"
import { ask, type Case, ends, expect, type Kind, meeting } from "../World.ts"

const KiB = 1024
const MiB = 1024 * KiB

/** Both directions at once, each with its checksum. */
export const exchange = Effect.fnUntraced(function*(options: {
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

export const basics: ReadonlyArray<Case> = [
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

/** The least sizes that lead to each pair of orders, and how much goes each way: each time that a small ring is full costs both a wake-up. */
const rings = [
  { orders: "10/11", sizes: [KiB, 2 * KiB], bytes: 256 * KiB },
  { orders: "11/10", sizes: [2 * KiB, KiB], bytes: 256 * KiB },
  { orders: "11/12", sizes: [2 * KiB, 2 * KiB], bytes: 256 * KiB },
  { orders: "12/12", sizes: [4 * KiB, 4 * KiB], bytes: MiB },
  { orders: "16/16", sizes: [64 * KiB, 64 * KiB], bytes: 16 * MiB },
  { orders: "20/20", sizes: [MiB, MiB], bytes: 16 * MiB }
] as const

const amount = (bytes: number): string => bytes < MiB ? `${bytes / KiB} KiB` : `${bytes / MiB} MiB`

/** Every pair of orders; `least` is how many MiB go each way at least. */
export const interop = (least: number): ReadonlyArray<Case> =>
  rings.flatMap(({ bytes, orders, sizes }) =>
    (["C", "TypeScript"] as const).flatMap((server) =>
      [0, 1000].map((packet): Case => {
        const client = server === "C" ? "TypeScript" : "C"
        const total = Math.max(bytes, least * MiB)
        const how = packet === 0 ? "as a stream" : `in packets of ${packet}`
        return {
          name: `orders ${orders}: ${amount(total)} each way at once between a ${server} server and a ${client} client, ${how}`,
          run: ({ one, two }) => exchange({ at: meeting(one, two, sizes), server, client, bytes: total, packet })
        }
      })
    )
  )
