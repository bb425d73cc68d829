/**
 * A process of the hostile domain, a client of an honest server, that rings a hundred thousand times a second until its parent tells it to stop, and
 * then tells how often it did.
 */
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer } from "effect"
import { hostileClient, sizes } from "./pages.ts"
import { turns } from "./turns.ts"
import { hostile } from "./world.ts"

/** What it did. */
export interface Stormed {
  readonly events: number
  readonly rounds: number
}

/** Events in one turn, and the milliseconds between two of them. */
const burst = 200
const between = 0.01

const pause = (): void => {
  const end = performance.now() + between
  while (performance.now() < end);
}

const storm = Effect.gen(function*() {
  const xen = yield* Layer.build(EmulatedXen.layer({ directory: process.argv[2] ?? "", domid: hostile }))
  const page = yield* hostileClient(xen, sizes[0])
  page.act({ does: "come" })
  const told = { isOver: false }
  process.on("message", () => void (told.isOver = true))
  let events = 0
  let rounds = 0
  while (!told.isOver) {
    for (let ring = 0; ring < burst; ring++) {
      page.act({ does: "ring", times: 1 })
      pause()
    }
    events += burst
    rounds++
    yield* turns(1)
  }
  const stormed: Stormed = { events, rounds }
  process.send?.(stormed)
})

Effect.runPromise(Effect.scoped(storm)).finally(() => process.disconnect?.())
