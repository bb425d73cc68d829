/**
 * Bytes between an open vchan and this process: what `vchan echo` and `vchan node` do with one.
 *
 * The connection is the caller's. Both functions return once the peer is gone and all that it wrote has been passed on.
 */
import { type Vchan, VchanError } from "@vchan/vchan"
import { Effect, type PlatformError, Schema, Stdio, Stream } from "effect"

/** The peer left without having been seen to take all of standard input. */
export class InputUntaken extends Schema.TaggedError<InputUntaken>()("InputUntaken", {
  domid: Schema.Int
}) {
  override get message(): string {
    return `domain ${this.domid} closed before it was seen to take all of standard input`
  }
}

/** Whoever read this process's standard output does so no longer. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {}) {
  override get message(): string {
    return "standard output takes no more: the connection is closed"
  }
}

/** The most bytes moved at once. */
const chunk = 64 * 1024

/** How often the end of standard input looks whether the peer has taken everything: a ring rings for space, not for emptiness. */
const lookEvery = "5 millis"

/** Writes back whatever the peer writes, until it is gone. */
export const echo = (vchan: Vchan): Effect.Effect<void, VchanError> => {
  const buffer = new Uint8Array(chunk)
  return untilGone(
    Effect.forever(Effect.flatMap(vchan.readInto(buffer), (length) => vchan.write(buffer.subarray(0, length))))
  )
}

/**
 * Standard input to the peer, and what the peer writes to standard output, at the same time.
 *
 * Ends when the peer is gone, or once standard input has ended and the peer has taken all of it. Standard input that ends without a byte
 * ends nothing: this side only receives. Fails with `InputUntaken` when the peer leaves while bytes wait for space, or after the end of
 * standard input without having been seen to take the last ones.
 */
export const join: (
  vchan: Vchan
) => Effect.Effect<void, InputUntaken | OutputClosed | VchanError | PlatformError.PlatformError, Stdio.Stdio> = Effect.fnUntraced(
  function*(vchan) {
    const stdio = yield* Stdio.Stdio
    const buffer = new Uint8Array(chunk)
    const print = (length: number) =>
      Effect.mapError(Stream.run(Stream.succeed(buffer.slice(0, length)), stdio.stdout({ endOnDone: false })), () => new OutputClosed())

    // A read may be interrupted, the printing of what was read may not: nothing that has left the ring is lost.
    const output = untilGone(
      Effect.uninterruptibleMask((restore) => Effect.forever(Effect.flatMap(restore(vchan.readInto(buffer)), print)))
    )

    let untaken = false
    const input = Effect.gen(function*() {
      let empty = true
      yield* Stream.runForEach(stdio.stdin, (bytes) =>
        Effect.suspend(() => {
          empty = false
          untaken = true
          return Effect.map(vchan.write(bytes), () => {
            untaken = false
          })
        }))
      if (empty) return yield* Effect.never
      untaken = true
      while (vchan.spaceUnsafe() < vchan.writeRing) yield* Effect.sleep(lookEvery)
      untaken = false
    })

    yield* Effect.raceFirst(output, untilGone(input))
    for (let length = vchan.readUnsafe(buffer, 0, chunk); length > 0; length = vchan.readUnsafe(buffer, 0, chunk)) yield* print(length)
    if (untaken) return yield* new InputUntaken({ domid: vchan.peer })
  }
)

/** Ends quietly where the peer has closed; every other end is an error. */
const untilGone = <E, R>(effect: Effect.Effect<void, VchanError | E, R>): Effect.Effect<void, VchanError | E, R> =>
  Effect.catchIf(effect, isPeerGone, () => Effect.void)

const isPeerGone = (error: unknown): boolean => error instanceof VchanError && error.reason._tag === "PeerGone"
