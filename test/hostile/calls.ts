/**
 * The honest side's calls on one vchan while it is attacked, and what has to hold of them.
 */
import { type Vchan, type VchanError, VchanSocket } from "@vchan/vchan"
import { Cause, Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { Socket } from "effect/socket"
import * as fc from "fast-check"
import { canary } from "./page.ts"
import { inTime } from "./turns.ts"

/** How the honest side reads. */
export const readings = ["stream", "packets", "listener", "socket", "nobody"] as const

/** What the honest side asks for, besides reading. */
export interface HonestAction {
  readonly does: "write" | "send"
  readonly length: number
}

export const honestAction: fc.Arbitrary<HonestAction> = fc.record({
  does: fc.constantFrom("write", "send"),
  length: fc.oneof(fc.nat(100), fc.nat(5000))
})

export interface Calls {
  readonly act: (action: HonestAction) => Effect.Effect<void>
  /** The connection is over: waits, in bounded time, until all calls are, and dies where one ended otherwise than it may. */
  readonly settled: Effect.Effect<void>
}

/** Dies where the bytes did not come from a ring, as far as that is known, or where a ring seems to hold more than it can. */
const check = (vchan: Vchan, bytes: Uint8Array, isElsewhere: () => boolean): Effect.Effect<void> =>
  (bytes.includes(canary) && !isElsewhere()) || vchan.availableUnsafe() > vchan.readRing || vchan.spaceUnsafe() > vchan.writeRing
    ? Effect.die(new Error("bytes were read that are not in the ring"))
    : Effect.void

type Failure = VchanError | Socket.SocketError

/** Reads what comes until the connection ends. */
const read = (vchan: Vchan, reading: (typeof readings)[number], isElsewhere: () => boolean): Effect.Effect<void, Failure> => {
  const buffer = new Uint8Array(700)
  switch (reading) {
    case "stream":
      return Effect.forever(Effect.flatMap(vchan.readInto(buffer), (count) => check(vchan, buffer.subarray(0, count), isElsewhere)))
    case "packets":
      return Effect.forever(Effect.andThen(vchan.receive(buffer), check(vchan, buffer, isElsewhere)))
    case "listener":
      return Effect.callback((resume) => {
        vchan.listenUnsafe({
          readable: () => {
            const count = vchan.readUnsafe(buffer, 0, buffer.length)
            if (buffer.subarray(0, count).includes(canary)) resume(check(vchan, buffer, isElsewhere))
          },
          writable: () => {},
          ended: (error) => resume(Effect.fail(error))
        })
        vchan.wantSpaceUnsafe()
      })
    case "socket":
      return Effect.flatMap(
        VchanSocket.make(Effect.succeed(vchan)),
        (socket) => Stream.runForEach(Socket.toStream(socket), (bytes) => check(vchan, bytes, isElsewhere))
      )
    case "nobody":
      return Effect.flatMap(vchan.ended, Effect.fail)
  }
}

/** Begins to read, and takes actions. The fibers belong to the Scope. */
export const callsOn = Effect.fnUntraced(function*(
  vchan: Vchan,
  reading: (typeof readings)[number],
  /** Whether the peer has put the rings somewhere else than where it is known what lies around them. */
  isElsewhere: () => boolean
): Effect.fn.Return<Calls, never, Scope.Scope> {
  const running: Array<Fiber.Fiber<void, Failure>> = []
  const scope = yield* Effect.scope
  const begin = (call: Effect.Effect<void, Failure>) => Effect.map(Effect.forkIn(call, scope), (fiber) => void running.push(fiber))
  yield* begin(read(vchan, reading, isElsewhere))
  return {
    act: ({ does, length }) => begin(vchan[does](new Uint8Array(length).fill(1))),
    settled: Effect.forEach(
      running,
      Effect.fnUntraced(function*(call) {
        const exit = yield* inTime("the end of a call whose connection is over", Fiber.await(call))
        if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) yield* Effect.failCause(exit.cause)
      }),
      { discard: true }
    ).pipe(Effect.orDie)
  }
})
