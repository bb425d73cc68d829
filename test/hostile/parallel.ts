/**
 * The scenario in which the other side of the page changes while the honest side looks at it: a thread writes to the page, as fast as it can, through the
 * emulated host's file. That a second look at an index would show is parallel.test.ts's to show.
 */
import { Handshake } from "@vchan/vchan"
import { XenStore } from "@vchan/xen"
import { Context, Effect, type Scope } from "effect"
import * as fc from "fast-check"
import { Worker } from "node:worker_threads"
import { emulatedHost } from "../conformance/backends.ts"
import { honestAction, readings } from "./calls.ts"
import { counted } from "./counted.ts"
import { attackWith, hostileClient, path, serially, sizes } from "./pages.ts"
import { scenario } from "./Scenario.ts"
import { turns } from "./turns.ts"
import { hostile, world } from "./world.ts"

/** What is written again and again: at an index, a live byte or a notify byte. */
const write = fc.oneof(
  fc.tuple(fc.constantFrom(0, 4, 8, 12), fc.constant(4), fc.oneof(fc.nat(9000), fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32 - 1024))),
  fc.tuple(fc.constantFrom(20, 21, 22, 23), fc.constant(1), fc.constantFrom(0, 1, 2, 3, 255))
)

/** What is written, byte for byte: where in the page, how many bytes, and the number in them. */
type Writes = ReadonlyArray<readonly [at: number, length: number, value: number]>

/** Plain JavaScript, for a thread that imports nothing. */
const writer = `
const { workerData: { file, base, writes } } = require("node:worker_threads")
const fs = require("node:fs")
const page = fs.openSync(file, "r+")
const ready = writes.map(([at, length, value]) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return [at, length, bytes]
})
for (;;) for (const [at, length, bytes] of ready) fs.writeSync(page, bytes, 0, length, base + at)
`

const pageLength = 4096

/** Writes again and again to the page of that reference, from another thread, until the Scope ends. */
export const writing = (directory: string, reference: number, writes: Writes): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.callback<Worker>((resume) => {
      const worker = new Worker(writer, { eval: true, workerData: { file: `${directory}/pages`, base: reference * pageLength, writes } })
      worker.once("online", () => resume(Effect.succeed(worker)))
    }),
    (worker) => Effect.promise(() => worker.terminate())
  ))

/** A hostile client that truly runs beside the honest server. */
export const parallelClients = scenario({
  name: "a client that writes to the page in parallel, the emulated host",
  plan: fc.record({
    size: fc.constantFrom(...sizes),
    reading: fc.constantFrom(...readings),
    writes: fc.array(write, { minLength: 1, maxLength: 6 }),
    honest: fc.array(honestAction, { maxLength: 10 }),
    rounds: fc.integer({ min: 1, max: 200 })
  }),
  actions: ({ honest, writes }) => honest.length + writes.length,
  run: ({ honest, reading, rounds, size, writes }, ledger) =>
    world(
      { host: () => emulatedHost() },
      Effect.fnUntraced(function*(parties, host) {
        const { context, work } = counted(parties.honest)
        const server = yield* Handshake.server({ domid: hostile, path, ...size }).pipe(Effect.provideContext(context))
        const reference = Number(yield* Context.get(parties.hostile, XenStore).read(`${path}/ring-ref`))
        const page = yield* hostileClient(parties.hostile, size)
        const calls = yield* serially(server.accept, reading, page, ledger)
        page.act({ does: "come" })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* writing(host.directory, reference, writes)
          for (const action of honest) yield* calls.act(action)
          for (let round = 0; round < rounds; round++) {
            page.act({ does: round % 3 === 0 ? "come" : "ring", times: 1 })
            yield* turns(2)
          }
        }))
        yield* attackWith([], { page, calls, work, ledger, act: () => Effect.void })
      })
    )
})
