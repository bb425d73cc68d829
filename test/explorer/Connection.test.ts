import { describe } from "@effect/vitest"
// First: it has to see what the product captures when it loads.
import "./access.ts"
import { Connection } from "../../packages/vchan/src/Connection.ts"
import { Consumer } from "../../packages/vchan/src/Ring.ts"
import { afterDeath, connectionSide, type FiberPlan, fiberSide, honest, type Parts, type Plan } from "./connectionSides.ts"
import type { Strength } from "./Memory.ts"
import { finds, holds, large } from "./report.ts"
import { world } from "./world.ts"

const both: ReadonlyArray<Strength> = ["x86", "arm"]

interface Options {
  /** The rings' order. */
  readonly order?: number
  /** The side that may be killed at any time. */
  readonly killed?: "client" | "server"
  readonly parts?: Partial<Parts>
}

const start = -2
const prod = { left: 4, right: 12 } as const

/** A client that is connected, and its server. A side that does not close ends when the other has, and has read all that was written. */
const connection = (client: Plan, server: Plan, { killed, order = 0, parts = {} }: Options = {}) => () => {
  const shared = world({ left: order, right: order, start })
  const death = (role: "client" | "server") => killed === role ? afterDeath(shared, role) : undefined
  return {
    ...shared,
    programs: [
      connectionSide(shared, "client", client, { ...honest, ...parts }),
      connectionSide(shared, "server", server, { ...honest, ...parts })
    ] as const,
    rung: [true, false] as const,
    mortal: [death("client"), death("server")] as const,
    judge: (received: readonly [number | undefined, number | undefined], read: (address: number) => number) => {
      const written = [read(prod.right) - start, read(prod.left) - start]
      for (const side of [0, 1] as const) {
        const closed = side === 0 ? client.closes === true || killed === "client" : server.closes === true || killed === "server"
        if (closed || received[side] === undefined || received[side] === written[side]) continue
        return `${side === 0 ? "the client" : "the server"} received ${received[side]} bytes of ${written[side]}`
      }
      return undefined
    }
  }
}

describe("an open connection loses nothing, and nobody sleeps for ever", () => {
  holds("one way, messages of 2 and 1", connection({ sends: [2, 1] }, { receives: 3, most: 2 }))
  holds("one way, rings of 2 bytes", connection({ sends: [3, 2] }, { receives: 5, most: 2 }, { order: 1 }))
  holds("both ways at once", connection({ sends: [1], receives: 1 }, { sends: [1], receives: 1 }))
  holds(
    "both ways, and both close",
    connection({ sends: [1], closes: true }, { sends: [1], closes: true }),
    large ? both : ["x86"]
  )
  if (!large) return
  holds("both ways at once, 2 bytes each", connection({ sends: [2], receives: 2 }, { sends: [2], receives: 2 }))
  holds("both ways at once, messages of 1 and 2", connection({ sends: [1, 2], receives: 3 }, { sends: [2, 1], receives: 3 }, { order: 1 }))
  holds("both ways, 2 bytes each, and both close", connection({ sends: [2], receives: 1, closes: true }, { sends: [2], closes: true }))
})

/** Fibers on both sides that wait for bytes and for space. */
const waiting = (client: FiberPlan, server: FiberPlan, order: number) => () => {
  const shared = world({ left: order, right: order, start })
  return {
    ...shared,
    programs: [fiberSide(shared, "client", client), fiberSide(shared, "server", server)] as const,
    rung: [true, false] as const
  }
}

describe("fibers that wait for bytes or for space are all woken", () => {
  const packets = (sends: ReadonlyArray<number>, receives: ReadonlyArray<number>): FiberPlan => ({ sends, receives, packets: true })
  const stream = (sends: ReadonlyArray<number>, receives: ReadonlyArray<number>): FiberPlan => ({ sends, receives, packets: false })
  holds("packets of 3 bytes in a ring of 4", waiting(packets([3, 3], []), packets([], [3, 3]), 2))
  holds(
    "packets of 2 bytes there and 1 back, in rings of 2",
    waiting(packets([2], [1, 1]), packets([1, 1], [2]), 1),
    large ? both : ["x86"]
  )
  holds("a stream of 3 bytes in a ring of 2", waiting(stream([3], []), stream([], [1, 1, 1]), 1))
  if (!large) return
  holds("packets of 3, 2 and 4 bytes in a ring of 4", waiting(packets([3, 2, 4], []), packets([], [3, 2, 4]), 2))
  holds("packets of 2 bytes there and back, in rings of 2", waiting(packets([2, 1], [2]), packets([2], [2, 1]), 1))
})

describe("a connection that ends is read to the last byte", () => {
  holds("closed by its writer", connection({ sends: [2, 1], closes: true }, { most: 2 }))
  holds("closed by its writer, rings of 2 bytes", connection({ sends: [2, 2], closes: true }, { most: 1 }, { order: 1 }))
  holds("whose writer is killed at any moment", connection({ sends: [2, 1] }, { most: 2 }, { killed: "client" }))
  if (!large) return
  holds("whose writer, that reads too, is killed", connection({ sends: [2], most: 2 }, { sends: [2], receives: 2 }, { killed: "server" }))
})

/** Sleeps without looking again. */
class DoesNotLookAgain extends Connection {
  override arm(): boolean {
    super.arm()
    return false
  }
}

/** Takes what it last saw in the ring for all that came before the end, as libxenvchan does. */
class ForgetsTheRest extends Consumer {
  private seen = this.position
  private ending = false

  override available(): number {
    if (!this.ending) this.seen = this.position + super.available()
    return this.seen - this.position
  }

  override freeze(): void {
    this.ending = true
    super.freeze()
    this.ending = false
  }
}

describe("a connection that is broken on purpose", () => {
  const parts = { connection: DoesNotLookAgain }
  finds("one that does not look again before it sleeps", /lost wake-up/, connection({ sends: [1, 1] }, { receives: 2 }, { parts }))
  const forgetful = { consumer: ForgetsTheRest }
  finds(
    "one that does not look again at its end",
    /received \d bytes of 1/,
    connection({ sends: [1], closes: true }, {}, { parts: forgetful })
  )
})
