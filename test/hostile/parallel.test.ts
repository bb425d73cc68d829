import { assert, describe, it } from "@effect/vitest"
import { GrantTable } from "@vchan/xen"
import { Context, Effect } from "effect"
import { Producer, type RingMemory } from "../../packages/vchan/src/Ring.ts"
import { SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import { enter } from "../conformance/Backend.ts"
import { emulatedHost } from "../conformance/backends.ts"
import { writing } from "./parallel.ts"
import { turns } from "./turns.ts"
import { honest, hostile } from "./world.ts"

const order = 10
const size = 2 ** order
/** What the thread shows as the peer's index in turn: an empty ring, and one that cannot be. */
const shown = [0, size / 2] as const
const at = 0

/** Looks once to check and once to use, as C does where the index is read through the page each time. */
class Twice extends Producer {
  override write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.space() === 0) return 0
    const used = (this.position - Atomics.load(this.memory.indexes, this.memory.cons)) | 0
    const count = Math.min(length, this.size - used)
    this.memory.data.set(bytes.subarray(offset, offset + Math.min(count, this.size)))
    return count
  }
}

/** No thread is without its turn for so many writes. */
const most = 20_000_000

/** How many writes it took until one moved something else than a single look allows; undefined where none of `enough` did, which met all that is shown. */
const found = (make: (memory: RingMemory, position: number) => Producer, enough = most) =>
  Effect.gen(function*() {
    const host = yield* emulatedHost()
    const grants = Context.get(yield* enter(host, honest), GrantTable)
    const { buffer, references } = yield* grants.share({ domid: hostile, count: 1 })
    const memory = new SharedPage(buffer).ring("client", "write", order, undefined)
    yield* writing(host.directory, references[0] ?? 0, shown.map((value) => [at, 4, value]))
    const bytes = Buffer.alloc(2 * size)
    const counts = new Map<number, number>()
    for (let writes = 1; writes <= most; writes++) {
      const count = make(memory, 0).write(bytes, 0, bytes.length)
      counts.set(count, (counts.get(count) ?? 0) + 1)
      if (count !== 0 && count !== size) return { writes, counts }
      if (writes >= enough && counts.size === shown.length) break
      if (writes % 1000 === 0) yield* turns(1)
    }
    return { writes: undefined, counts }
  }).pipe(Effect.scoped)

describe("A thread that writes to the page", () => {
  it.live("shows a write that looks at the peer's index twice", () =>
    Effect.gen(function*() {
      assert.isDefined((yield* found((memory, position) => new Twice(memory, position))).writes)
    }))

  it.live("shows nothing of the ring's own write, which meets both of what is shown", () =>
    Effect.gen(function*() {
      const { counts, writes } = yield* found((memory, position) => new Producer(memory, position), 500_000)
      assert.isUndefined(writes)
      assert.sameMembers([...counts.keys()], [0, size])
    }))
})
