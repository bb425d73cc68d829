/**
 * What befalls a connection whose peer's whole domain stands still or is gone.
 */
import { Effect, Schedule } from "effect"
import { BenchError } from "../Programs.ts"
import { ask, type Case, expect, meeting } from "../World.ts"
import { exchange } from "./exchange.ts"

/** Milliseconds of the keepalive's interval and timeout: for one that asks soon, and one that never comes to ask here. */
const soon = ["1000", "1000"]
const never = ["600000", "600000"]

export const pauses: ReadonlyArray<Case> = [
  {
    name: "calls go on when a guest that was paused runs again",
    run: Effect.fnUntraced(function*({ one, pause, two }) {
      const server = yield* one.start(["calls", ...never, "serve"])
      yield* server.said("up")
      const client = yield* two.start(["calls", ...never, "call", String(one.domid)])
      yield* client.said("tick 3")
      yield* Effect.scoped(Effect.andThen(pause(one), Effect.sleep("3 seconds")))
      yield* client.said("tick 100")
    })
  },
  {
    name:
      "a client whose server's guest is paused ends with PeerSilent after its keepalive's time, and so does the server when it runs again",
    run: Effect.fnUntraced(function*({ one, pause, two }) {
      const server = yield* one.start(["calls", ...never, "serve"])
      yield* server.said("up")
      const client = yield* two.start(["calls", ...soon, "call", String(one.domid)])
      yield* client.said("tick 3")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* pause(one)
        yield* client.said("Hang failed: PeerSilent")
        yield* client.said("Ticks failed: PeerSilent")
      }))
      yield* server.said("Hang was interrupted")
    })
  },
  {
    name:
      "a server whose client's guest is paused ends with PeerSilent after its keepalive's time, and so does the client when it runs again",
    run: Effect.fnUntraced(function*({ one, pause, two }) {
      const server = yield* one.start(["calls", ...soon, "serve"])
      yield* server.said("up")
      const client = yield* two.start(["calls", ...never, "call", String(one.domid)])
      yield* client.said("tick 3")
      yield* Effect.scoped(Effect.andThen(pause(two), server.said("Hang was interrupted")))
      yield* client.said("Hang failed: PeerSilent")
    })
  }
]

/**
 * A destroyed domain sends no event and clears no byte. dom0 is told by the hypervisor; a guest sees a key vanish that was in the dead domain's
 * tree, or that the dead domain owned. What nobody tells is a guest's raw server, whose client owns no key: over it, calls have their keepalive.
 */
export const destruction: ReadonlyArray<Case> = [{
  name:
    "xl destroy of a domain is noticed within 2 s by dom0 and by a guest's client and listener, and by calls' keepalive where nobody tells",
  run: Effect.fnUntraced(function*({ destroy, dom0, note, one, two }) {
    const [atDom0, atOne, atTwo, seenByDom0, untold] = [
      meeting(dom0, two),
      meeting(one, two),
      meeting(two, one),
      meeting(two, dom0),
      meeting(one, two)
    ]
    const server = yield* atDom0.serve("TypeScript", "hold")
    yield* atDom0.connect("C", "hold")
    const listener = yield* atOne.serve("TypeScript", "listen", "any")
    yield* (yield* atOne.connect("TypeScript", "ask", "hold")).said("answered")
    yield* atTwo.serve("C", "hold")
    const client = yield* atTwo.connect("TypeScript", "hold")
    yield* seenByDom0.serve("C", "hold")
    const dom0Client = yield* seenByDom0.connect("TypeScript", "hold")
    yield* Effect.forEach([server, client, dom0Client], ({ said }) => said("connected"))
    const serving = yield* one.start(["calls", ...soon, "offer", String(two.domid), untold.path])
    yield* serving.said("up")
    const calling = yield* two.start(["calls", ...never, "dial", String(one.domid), untold.path])
    yield* calling.said("tick 3")
    const witnesses = [
      ["dom0's server", server.said("gone")],
      ["dom0's client", dom0Client.said("gone")],
      ["a guest's client", client.said("gone")],
      ["a guest's listener", listener.said(`left ${two.domid}`)]
    ] as const
    yield* destroy(two)
    const begun = performance.now()
    const since = () => `${((performance.now() - begun) / 1000).toFixed(1)} s after xl had destroyed it`
    yield* Effect.forEach(witnesses, ([who, said]) =>
      Effect.gen(function*() {
        yield* expect(`what ${who} was told`, yield* said, "DomainGone")
        yield* note(`${who} knew ${since()}`)
      }).pipe(Effect.timeoutOrElse({
        duration: "2 seconds",
        orElse: () => Effect.fail(new BenchError({ message: `${who} did not notice it` }))
      })), { concurrency: "unbounded" })
    yield* serving.said("Hang was interrupted")
    yield* note(`a guest's raw server was told by its keepalive of 1 s and 1 s ${since()}`)
    yield* serving.said("over")
    yield* Effect.repeat(one.ranges, { until: (count) => count === 0, schedule: Schedule.spaced("300 millis") })
  })
}]

/**
 * A guest that is saved takes its connections along, which end: for the other side as if its domain was destroyed. What holds no connection
 * goes on under the new domid, the agent itself first of all.
 */
export const saving: ReadonlyArray<Case> = [{
  name: "a client of a guest that xl saves is told DomainGone, and the guest that xl restores serves and calls again under its new domid",
  run: Effect.fnUntraced(function*({ dom0, note, one, restore, save }) {
    const held = meeting(one, dom0)
    // In a process of its own, for Linux fails when a program lets go of a port that was lost, and that must not be the agent.
    yield* held.serve("process", "hold")
    const client = yield* held.connect("TypeScript", "hold")
    yield* client.said("connected")
    // It holds no connection, and ends after it was restored.
    const program = yield* one.start(["sh", "-c", "until [ -e /tmp/restored ]; do sleep 1; done; echo goes on"])
    const before = one.domid
    const begun = performance.now()
    const since = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`
    yield* save(one)
    yield* note(`xl save took ${since()}`)
    yield* expect("what the client was told", yield* client.said("gone"), "DomainGone").pipe(
      Effect.timeoutOrElse({
        duration: "2 seconds",
        orElse: () => Effect.fail(new BenchError({ message: "the client did not notice it" }))
      })
    )
    yield* restore(one)
    yield* note(`and both ${since()}`)
    yield* expect("that the domid is another", one.domid !== before, true)
    yield* expect("the domid that the guest reads", Number(yield* ask(one, ["xenstore-read", "domid"])), one.domid)
    yield* ask(one, ["sh", "-c", "touch /tmp/restored; echo"])
    yield* program.said("goes on")
    for (const [server, client] of [[one, dom0], [dom0, one]] as const) {
      yield* exchange({ at: meeting(server, client), server: "TypeScript", client: "TypeScript", bytes: 65536, packet: 0 })
    }
  })
}]
