/**
 * Write, then close at once: what the C library writes last lies in the ring when its live byte goes to 0, and its pages go with it. Its own
 * reader misses some of it now and then; this library's reader may not.
 *
 * Each race is one C process and one connection in this process. `VCHAN_RACES` says how many there are for each case; 25 where not given.
 */
import { afterAll, expect, it } from "@effect/vitest"
import { Handshake, type Vchan, type VchanError } from "@vchan/vchan"
import { XenStore } from "@vchan/xen"
import { Effect } from "effect"
import { crc32 } from "node:zlib"
import { leaveFigures } from "../figures.ts"
import type { Program } from "../system/Programs.ts"
import { ends } from "../system/World.ts"
import { describeDebian } from "./debian.ts"
import { makeWorld } from "./world.ts"

const races = Number(process.env.VCHAN_RACES ?? 25)
const duration = `${20 + races / 5} seconds` as const

/** Lengths that end in the middle of a ring, at its end, and several times round it. */
const lengths = [1, 100, 1024, 1025, 2048, 4096, 5000, 20_000, 70_000]
const lengthOf = (race: number): number => lengths[race % lengths.length] ?? 1

const isPeerGone = (error: VchanError): boolean => error.reason._tag === "PeerGone"

interface Read {
  count: number
  crc: number
}

/** Reads until the other side is gone, and adds what came to what was read before. */
const readAll = (vchan: Vchan, read: Read = { count: 0, crc: 0 }): Effect.Effect<Read, VchanError> => {
  const buffer = new Uint8Array(1 << 16)
  return Effect.forever(Effect.map(vchan.readInto(buffer), (length) => {
    read.crc = crc32(buffer.subarray(0, length), read.crc)
    read.count += length
  })).pipe(
    Effect.catchIf(isPeerGone, () => Effect.void),
    Effect.as(read)
  )
}

/** As the C program tells of its bytes. */
const words = ({ count, crc }: Read): string => `${count} ${crc.toString(16).padStart(8, "0")}`

/** The bytes that the C program writes, from its start on (`pattern` in peer.c). */
const pattern = (length: number): Uint8Array => {
  let state = 2_463_534_242
  return Uint8Array.from({ length }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 24
  })
}

/** The C program that writes so many bytes and closes. */
const writes = (length: number) => ["pump", String(length), "0", "0"]

const sameAs = Effect.fnUntraced(function*(race: number, received: Read, writer: Program) {
  const sent = yield* writer.said("sent")
  if (words(received) !== sent) return yield* Effect.die(new Error(`race ${race}: ${sent} was sent, and ${words(received)} received`))
})

describeDebian(`${races} races between the last bytes and the end`, (debian) => {
  let held = 0
  afterAll(() => leaveFigures("races", { races: held }))

  const sizes = [{ left: 1024, right: 2048 }, { left: 65_536, right: 65_536 }]

  it.live.each(sizes)(
    "C clients that come one after the other to a TypeScript server, rings of $left and $right: every byte is read",
    ({ left, right }) =>
      Effect.gen(function*() {
        const { one, two, untilReleased } = yield* makeWorld(debian)
        const path = "/local/domain/5/data/races"
        yield* Effect.gen(function*() {
          const server = yield* Handshake.server({ domid: two.domid, path, leftMin: left, rightMin: right })
          for (let race = 0; race < races; race++) {
            yield* Effect.gen(function*() {
              const client = yield* two.startC(debian.peer, "client", "5", path, "0", "0", ...writes(lengthOf(race)))
              const received = yield* Effect.scoped(Effect.flatMap(server.accept, readAll))
              yield* ends(`client ${race}`, client)
              yield* sameAs(race, received, client)
            }).pipe(Effect.scoped)
          }
        }).pipe(Effect.scoped, Effect.provide(one.xen))
        yield* untilReleased
        held += races
      }).pipe(Effect.scoped, Effect.timeout(duration)),
    1000 * (25 + races / 5)
  )

  it.live("TypeScript clients of C servers: every byte is read", () =>
    Effect.gen(function*() {
      const { one, two, untilReleased } = yield* makeWorld(debian)
      for (let race = 0; race < races; race++) {
        yield* Effect.gen(function*() {
          const path = `/local/domain/5/data/races/${race}`
          const server = yield* one.startC(debian.peer, "server", "7", path, "1024", "2048", ...writes(lengthOf(race)))
          const received = yield* Effect.scoped(Effect.flatMap(Handshake.client({ domid: 5, path }), (vchan) => readAll(vchan))).pipe(
            Effect.provide(two.xen)
          )
          yield* ends(`server ${race}`, server)
          yield* sameAs(race, received, server)
        }).pipe(Effect.scoped)
      }
      yield* untilReleased
      held += races
    }).pipe(Effect.scoped, Effect.timeout(duration)), 1000 * (25 + races / 5))

  it.live("C clients that do not wait for each other's end to be noticed: not a byte is lost or doubled", () =>
    Effect.gen(function*() {
      const { one, two } = yield* makeWorld(debian)
      const path = "/local/domain/5/data/races"
      const sent = { count: 0, crc: 0 }
      for (let race = 0; race < races; race++) {
        sent.count += lengthOf(race)
        sent.crc = crc32(pattern(lengthOf(race)), sent.crc)
      }
      yield* Effect.gen(function*() {
        const server = yield* Handshake.server({ domid: two.domid, path, leftMin: 2048, rightMin: 1024 })
        // A client that comes before the former one's end was noticed goes on with its connection: only what they wrote together is sure.
        const received = { count: 0, crc: 0 }
        const reading = Effect.gen(function*() {
          while (received.count < sent.count) yield* Effect.scoped(Effect.flatMap(server.accept, (vchan) => readAll(vchan, received)))
        })
        const clients = lengths.map((_, race) => [debian.peer, "client", "5", path, "0", "0", ...writes(lengthOf(race))].join(" "))
        const rounds = Array.from({ length: races }, (_, race) => clients[race % lengths.length] ?? "")
        const writing = Effect.scoped(Effect.flatMap(two.startC("sh", "-c", rounds.join(" && ")), (shell) => ends("the clients", shell)))
        yield* Effect.all([reading, writing], { concurrency: "unbounded" })
        expect(words(received)).toBe(words(sent))
        held += races
      }).pipe(Effect.scoped, Effect.provide(one.xen))
    }).pipe(Effect.scoped, Effect.timeout(duration)), 1000 * (25 + races / 5))

  it.live("TypeScript writes and closes, and C, which looks at the ring once more, reads every byte", () =>
    Effect.gen(function*() {
      const { one, two, untilReleased } = yield* makeWorld(debian)
      for (let race = 0; race < races; race++) {
        yield* Effect.gen(function*() {
          const path = `/local/domain/5/data/races/${race}`
          const bytes = pattern(lengthOf(race))
          const sent = words({ count: bytes.length, crc: crc32(bytes) })
          const server = yield* one.startC(debian.peer, "server", "7", path, "1024", "2048", "pump", "0", "-1", "0")
          yield* Effect.scoped(Effect.flatMap(Handshake.client({ domid: 5, path }), (vchan) => vchan.write(bytes))).pipe(
            Effect.provide(two.xen)
          )
          expect(yield* server.said("received")).toBe(sent)
          yield* ends(`server ${race}`, server)
        }).pipe(Effect.scoped)
      }
      yield* untilReleased
      held += races
    }).pipe(Effect.scoped, Effect.timeout(duration)), 1000 * (25 + races / 5))

  it.live(
    "C clients that are killed at any moment, in the middle of what they write: each end is noticed, and the next client served",
    () =>
      Effect.gen(function*() {
        const { one, two, untilReleased } = yield* makeWorld(debian)
        const path = "/local/domain/5/data/races"
        yield* Effect.gen(function*() {
          const server = yield* Handshake.server({ domid: two.domid, path, leftMin: 4096, rightMin: 4096 })
          for (let race = 0; race < races; race++) {
            yield* Effect.gen(function*() {
              const client = yield* two.startC(debian.peer, "client", "5", path, "0", "0", ...writes(1_000_000_000))
              const vchan = yield* server.accept
              yield* Effect.forkScoped(Effect.delay(client.kill, Math.random() * 10))
              const { count, crc } = yield* readAll(vchan)
              expect(crc).toBe(crc32(pattern(count)))
            }).pipe(Effect.scoped)
          }
          const last = yield* two.startC(debian.peer, "client", "5", path, "0", "0", ...writes(5000))
          yield* sameAs(races, yield* Effect.scoped(Effect.flatMap(server.accept, (vchan) => readAll(vchan))), last)
        }).pipe(Effect.scoped, Effect.provide(one.xen))
        yield* untilReleased
        held += races
      }).pipe(Effect.scoped, Effect.timeout(duration)),
    1000 * (25 + races / 5)
  )

  it.live("C servers that are killed at any moment, in the middle of what they write: each end is noticed", () =>
    Effect.gen(function*() {
      const { one, two, untilReleased } = yield* makeWorld(debian)
      for (let race = 0; race < races; race++) {
        yield* Effect.gen(function*() {
          const path = `/local/domain/5/data/races/${race}`
          const server = yield* one.startC(debian.peer, "server", "7", path, "4096", "4096", ...writes(1_000_000_000))
          const vchan = yield* Handshake.client({ domid: 5, path })
          yield* Effect.forkScoped(Effect.delay(server.kill, Math.random() * 10))
          const { count, crc } = yield* readAll(vchan)
          expect(crc).toBe(crc32(pattern(count)))
        }).pipe(Effect.scoped, Effect.provide(two.xen))
        // A killed process leaves its keys, and its domain may hold so many.
        yield* Effect.provideContext(Effect.flatMap(XenStore, (store) => store.remove("data/races")), one.xen)
      }
      yield* untilReleased
      held += races
    }).pipe(Effect.scoped, Effect.timeout(duration)), 1000 * (25 + races / 5))
})
