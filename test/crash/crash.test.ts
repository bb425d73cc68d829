/**
 * `kill -9` at random moments, under load and while connections are made: nothing is left behind, and whoever survives goes on with the next.
 *
 * `VCHAN_CRASHES` says how often in all; 12 where not given. `VCHAN_SEED` repeats the choice of whom and when, though not how far the processes
 * have come by then.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { leaveFigures } from "../figures.ts"
import { bundle, makeCrew, type Open, until } from "./Crew.ts"
import { random } from "./random.ts"
import type { Role, Standing } from "./Telling.ts"

const crashes = Number(process.env.VCHAN_CRASHES ?? 12)
const seed = Number(process.env.VCHAN_SEED ?? Date.now() % 1_000_000_000)

/**
 * Why connections may end for those who live, by who died. One that joins while its host dies finds none, and one whose server has noticed that
 * first is told so. A client that asks a server which dies is nobody's to refuse: it asks the next one.
 */
const honest: Readonly<Record<Role, ReadonlyArray<string>>> = {
  client: ["PeerGone", "DomainGone"],
  server: ["PeerGone", "DomainGone"],
  host: ["HostLost", "HostMissing", "PeerGone", "Interrupted", "Draining"]
}

/** At most so long after all is well, or after somebody was told to rise, the next one is killed. */
const longest = 40

const loop = Effect.fnUntraced(function*(victims: ReadonlyArray<Role>, cycles: number) {
  const next = random(seed)
  let accounted = 0
  const crew = yield* makeCrew()
  const { directory, enlist, faults, held, kill, open, order, standing, takeWritten } = crew

  const isUp = ({ state }: Standing) => state === "up"
  const isEnded = ({ open, running, state }: Standing) => state === "ended" && open + running === 0
  const up = (role: Role) => until(`a ${role} that is up`, standing(role), isUp)
  const same = <A>(what: string, look: Effect.Effect<A>, wanted: A) =>
    until(`${what}, which is ${JSON.stringify(wanted)}`, look, (seen) => JSON.stringify(seen) === JSON.stringify(wanted))
  const noMore = (what: string, role: Role, before: Open) =>
    until(
      `a ${role} with no more open than ${JSON.stringify(before)} ${what}`,
      open(role),
      ({ files, mapped }) => files <= before.files && mapped <= before.mapped
    )
  const resting = <A>(look: Effect.Effect<A>, connected: boolean) =>
    Effect.gen(function*() {
      yield* until("what is settled", held, ({ grants, mappings, ports }) => connected === (grants + mappings + ports > 0))
      yield* Effect.sleep("200 millis")
      return yield* look
    })

  // What is held in each situation after everybody has come and gone in peace.
  yield* enlist("host")
  yield* up("host")
  const files = Effect.sync(() => fs.readdirSync(directory).toSorted())
  const atFirst = { held: yield* held, files: yield* files }
  for (const role of ["server", "client"] as const) {
    yield* enlist(role)
    yield* order(role, "Rise")
    yield* up(role)
  }
  yield* order("client", "Leave")
  yield* until("a client that left", standing("client"), ({ state }) => state === "left")
  const withoutClient = yield* resting(Effect.all({ held, host: open("host"), server: open("server"), client: open("client") }), false)
  yield* order("client", "Rise")
  yield* up("client")
  const whole = yield* resting(Effect.all({ held, host: open("host"), server: open("server"), client: open("client") }), true)
  yield* order("server", "Leave")
  yield* until("a server that left", standing("server"), ({ state }) => state === "left")
  const withoutServer = yield* resting(Effect.all({ held, host: open("host"), server: open("server"), client: open("client") }), false)
  yield* order("server", "Rise")
  yield* up("client")

  /** All is well: everybody has exchanged something with everybody, and nobody holds more than ever. */
  const wellAgain = Effect.gen(function*() {
    yield* up("server")
    yield* up("client")
    yield* same("what the host holds with all", held, whole.held)
    for (const role of ["host", "server", "client"] as const) yield* noMore("with all", role, whole[role])
  })

  const survived = Effect.fnUntraced(function*(victim: Role, survivor: Role, { reads, reasons }: Standing) {
    const strange = reasons.filter((reason) => !honest[victim].includes(reason))
    assert.deepStrictEqual(strange, [], `why a ${survivor}'s connections ended when a ${victim} was killed`)
    const written = yield* takeWritten(victim)
    if (reads.length > 0) accounted += written
    for (const read of reads) assert.isAtLeast(read, written, `bytes that a ${survivor} read of those that a ${victim} had written`)
  })

  for (let cycle = 0; cycle < cycles; cycle++) {
    const victim = victims[Math.floor(next() * victims.length)] ?? "host"
    const settle = next() < 0.5
    const moment = next() * longest
    yield* Effect.gen(function*() {
      if (settle) yield* wellAgain
      yield* order("server", "Forget")
      yield* order("client", "Forget")
      yield* Effect.sleep(moment)
      yield* kill(victim)
      switch (victim) {
        case "client": {
          const server = yield* until("a server without client", standing("server"), (seen) => isUp(seen) && seen.open + seen.running === 0)
          yield* survived(victim, "server", server)
          yield* same("what the host holds without client", held, withoutClient.held)
          yield* noMore("without client", "server", withoutClient.server)
          yield* noMore("without client", "host", withoutClient.host)
          break
        }
        case "server": {
          const client = yield* until("a client without server", standing("client"), ({ open, state }) => state === "rising" && open === 0)
          yield* survived(victim, "client", client)
          yield* same("what the host holds without server", held, withoutServer.held)
          yield* noMore("without server", "client", withoutServer.client)
          yield* noMore("without server", "host", withoutServer.host)
          break
        }
        case "host": {
          for (const role of ["server", "client"] as const) {
            yield* survived(victim, role, yield* until(`a ${role} without host`, standing(role), isEnded))
          }
          for (const role of ["server", "client"] as const) {
            yield* order(role, "Leave")
            yield* until(`a ${role} that left`, standing(role), ({ state }) => state === "left")
          }
          yield* noMore("without host", "client", withoutClient.client)
          yield* noMore("without host", "server", withoutServer.server)
        }
      }
      assert.deepStrictEqual(faults, [])
      yield* enlist(victim)
      if (victim === "host") {
        yield* up("host")
        yield* same("what a new host holds", held, atFirst.held)
        assert.deepStrictEqual(yield* files, atFirst.files)
        yield* order("server", "Rise")
        yield* order("client", "Rise")
      } else {
        yield* order(victim, "Rise")
      }
    }).pipe(
      Effect.onError(() =>
        Effect.logError(
          faults,
          `cycle ${cycle} of seed ${seed}: a ${victim} killed ${moment} ms after ${settle ? "all was well" : "the last rose"}`
        )
      )
    )
  }
  yield* wellAgain
  return accounted
})

describe(`kill -9, ${crashes} times, with seed ${seed}`, () => {
  beforeAll(bundle)

  it.live.each<[string, ReadonlyArray<Role>]>([
    ["clients", ["client"]],
    ["servers", ["server"]],
    ["hosts", ["host"]],
    ["anybody", ["client", "server", "host"]]
  ])(
    "of %s",
    ([name, victims]) =>
      Effect.gen(function*() {
        const cycles = Math.ceil(crashes / 4)
        const begun = performance.now()
        const accounted = yield* loop(victims, cycles)
        leaveFigures(`crash-${name}`, { kills: cycles })
        const seconds = ((performance.now() - begun) / 1000).toFixed(1)
        console.log(`${cycles} times kill -9 of ${name}: ${accounted} bytes that the killed had written were read, ${seconds} s`)
      }).pipe(Effect.scoped),
    30_000 + crashes * 1000
  )
})
