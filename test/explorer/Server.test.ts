import { describe } from "@effect/vitest"
// First: it has to see what the product captures when it loads.
import "./access.ts"
import { live, SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import { afterDeath, type Serving, serving, type Visit, visiting } from "./lifeSides.ts"
import type { Strength } from "./Memory.ts"
import { finds, holds, large } from "./report.ts"
import { world } from "./world.ts"

interface Options extends Serving {
  readonly order?: number
  /** The first client may be killed at any time, and this one comes after it. */
  readonly afterKilled?: Visit
}

/** A server that echoes, and clients that come to it one after the other. */
const visits = (visits: ReadonlyArray<Visit>, { afterKilled, order = 0, ...options }: Options = {}) => () => {
  const shared = world({ left: order, right: order, connected: false })
  return {
    ...shared,
    programs: [visiting(shared, visits, { sentAway: options.sendsAway === true }), serving(shared, options)] as const,
    mortal: [afterKilled === undefined ? undefined : afterDeath(shared, afterKilled), undefined] as const
  }
}

const both: ReadonlyArray<Strength> = ["x86", "arm"]

const patient: Visit = { sends: 1, waitsTurn: true }
const hasty: Visit = { sends: 1 }
const impatient: Visit = { sends: 1, impatient: true }

describe("a server answers each client that comes", () => {
  holds("the first, from the handshake on", visits([{ sends: 2 }]), large ? both : ["x86"])
  holds("two clients, the second at once", visits([hasty, hasty]))
  holds("two clients, the second when it is its turn", visits([patient, patient]))
  holds("three clients, each at once", visits([hasty, hasty, hasty]), large ? both : ["x86"])
  holds("one after one that was killed", visits([hasty], { afterKilled: patient }))
  holds("one after one that was sent away", visits([hasty, hasty], { sendsAway: true }), large ? both : ["x86"])
  if (!large) return
  holds("a second one with 2 bytes", visits([hasty, { sends: 2 }]))
  holds("one with 2 bytes after one that was killed", visits([{ sends: 2 }], { afterKilled: { sends: 2, waitsTurn: true } }))
  holds("three clients, each sent away", visits([hasty, patient, hasty], { sendsAway: true }))
})

describe("a client that waits for its turn hears nothing that was meant for the former one", () => {
  holds("which left without reading", visits([impatient, patient]))
  holds(
    "which came, wrote and left, as did the one before",
    visits([impatient, { ...impatient, waitsTurn: true }, patient]),
    large ? both : ["x86"]
  )
  if (!large) return
  holds("which left 2 bytes in rings of 2", visits([{ ...impatient, sends: 2 }, { ...patient, sends: 2 }], { order: 1 }))
})

/** Looks at the live byte first and at the index after that, where it ought to be the other way round. */
class EmptiesLate extends SharedPage {
  private emptying = false

  override live(side: "client" | "server"): number {
    return this.emptying ? live.gone : super.live(side)
  }

  override empty(writing: number): number | undefined {
    if (this.live("client") === live.connected) return undefined
    this.emptying = true
    const reading = super.empty(writing)
    this.emptying = false
    return reading
  }
}

/** Does not see that the next client has come since it saw that the former one had gone. */
class SeesGoneTwice extends SharedPage {
  private gone = false

  override live(side: "client" | "server"): number {
    if (this.gone) {
      this.gone = false
      return live.gone
    }
    const value = super.live(side)
    this.gone = value === live.gone
    return value
  }
}

/** Lets the next client in before the rings are empty. */
class WelcomesEarly extends SharedPage {
  override empty(writing: number): number | undefined {
    this.awaitClient()
    return super.empty(writing)
  }
}

describe("a server that is broken on purpose", () => {
  finds("one that empties what a client has just written", /lost wake-up/, visits([hasty, hasty], { page: EmptiesLate }), ["x86"])
  finds("one that takes a next client's bytes for the former's last", /lost wake-up/, visits([hasty, hasty], { page: SeesGoneTwice }), [
    "x86"
  ])
  finds("one that lets a client in before the rings are empty", /visit 1 heard 1/, visits([impatient, patient], { page: WelcomesEarly }), [
    "x86"
  ])
})
