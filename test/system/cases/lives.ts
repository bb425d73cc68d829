/**
 * How peers come, follow each other, and go.
 */
import { Effect } from "effect"
import { ask, type Case, ends, expect, meeting } from "../World.ts"

const KiB = 1024

/** Some round trips; the server ends after so many bytes. */
const rounds = 20

export const clients: ReadonlyArray<Case> = [
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
      const inTypeScript = yield* at.intrude("hold")
      yield* inTypeScript.said("failed: Refused")
      // A server in C that is stopped leaves its keys: it ends by itself when its client has gone.
      yield* first.kill
      yield* running.said("gone")
      if (server === "C") yield* ends("the server", running)
    })
  }))
]

export const ending: ReadonlyArray<Case> = [
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
