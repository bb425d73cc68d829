/**
 * How fast each pair is.
 */
import { Effect } from "effect"
import { type Case, ends, type Kind, meeting } from "../World.ts"

const KiB = 1024
const MiB = 1024 * KiB

const pairs: ReadonlyArray<readonly [server: Kind, client: Kind]> = [
  ["C", "C"],
  ["C", "TypeScript"],
  ["TypeScript", "C"],
  ["TypeScript", "TypeScript"],
  ["TypeScript that never spins", "TypeScript that never spins"]
]

/** Told, not judged: on an emulated CPU only the ratios say something, and a machine that is busy moves them too. */
export const speed: ReadonlyArray<Case> = [
  {
    name: "the speed of each pair between the guests is told",
    run: Effect.fnUntraced(function*({ note, one, two }) {
      let c: { readonly micros: number; readonly rate: number } | undefined
      for (const [server, client] of pairs) {
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
        c ??= { micros, rate }
        const [round, stream] = [c.micros / micros, rate / c.rate].map((ratio) => ratio.toFixed(2))
        const [there, way] = [micros.toFixed(0), (rate / KiB).toFixed(1)]
        yield* note(
          `${server} server, ${client} client: 64 B there and back ${there} us (${round} of C's speed), 64 KiB one way ${way} MiB/s (${stream})`
        )
      }
    })
  }
]
