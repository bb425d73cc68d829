/**
 * A process's side of the socket `control`.
 *
 * The connection belongs to the Scope it was made in. Once it is closed, from here or from there, whatever is asked fails with `HostLost`.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { HostLost, HostMissing, SystemRefusal } from "@vchan/xen"
import { Data, Deferred, Effect, Option, type Scope } from "effect"
import { Socket } from "effect/socket"
import { destroyedNotice, formatRequest, LineDecoder, parseAnswer, type Refusal } from "./ControlProtocol.ts"
import { fitsSockets, type RunDirectory } from "./RunDirectory.ts"

/** The host refused. */
export class Refused extends Data.TaggedError("Refused")<Refusal> {}

/** A refusal as the system's, for people: `what` is what was asked for. */
export const refusalBy = ({ code, text }: Refused, what: string): SystemRefusal => new SystemRefusal({ call: what, code, hint: text })

/** How long a dismissal waits for its answer. */
const patience = "1 second"

/** A connection to the host. */
export interface ControlClient {
  /** Asks the host; the answer's words. */
  readonly ask: (operation: string, ...words: ReadonlyArray<string | number>) => Effect.Effect<ReadonlyArray<string>, Refused | HostLost>
  /** Tells the host, in a finalizer, what it need not hold any longer: waits until that is done, but not for a host that is stuck. */
  readonly dismiss: (operation: string, ...words: ReadonlyArray<string | number>) => Effect.Effect<void>
}

/** Connects to the host of a directory. */
export const connectControl = Effect.fnUntraced(function*(options: {
  readonly directory: RunDirectory
  readonly hint: string
  /** Called when the host tells that this process's domain was destroyed: it must not touch the host's pages when this returns. */
  readonly destroyed?: () => void
}): Effect.fn.Return<ControlClient, HostMissing, Scope.Scope> {
  const { directory, hint } = options
  const missing = new HostMissing({ host: directory.path, hint })
  if (!fitsSockets(directory)) return yield* missing
  const socket = yield* NodeSocket.makeNet({ path: directory.control })
  const pull = yield* Effect.mapError(Socket.readerBytes(socket), () => missing)
  const writer = yield* socket.writer
  const pending = new Map<number, Deferred.Deferred<ReadonlyArray<string>, Refused | HostLost>>()
  const lines = new LineDecoder()
  let lastId = 0
  /** The last dismissal was not answered in time, and nothing has come since. */
  let stuck = false
  let lost: HostLost | undefined

  const lose = (host: string) =>
    Effect.gen(function*() {
      lost ??= new HostLost({ host })
      for (const waiting of pending.values()) yield* Deferred.fail(waiting, lost)
      pending.clear()
    })

  const receive = Effect.gen(function*() {
    while (true) {
      for (const chunk of yield* pull) {
        stuck = false
        for (const line of lines.feed(chunk) ?? []) {
          const answer = parseAnswer(line)
          if (answer === undefined) {
            if (line !== destroyedNotice) continue
            options.destroyed?.()
            yield* Effect.ignore(writer.write(formatRequest(0, "leave", [])))
            return yield* lose(`${directory.path} (where this process's domain was destroyed)`)
          }
          const waiting = pending.get(answer.id)
          pending.delete(answer.id)
          if (waiting !== undefined) {
            yield* answer._tag === "Ok" ? Deferred.succeed(waiting, answer.words) : Deferred.fail(waiting, new Refused(answer.refusal))
          }
        }
      }
    }
  })
  yield* receive.pipe(Effect.catch(() => lose(directory.path)), Effect.forkScoped)
  yield* Effect.addFinalizer(() => lose(directory.path))

  /** Sends a request; its answer comes later. */
  const send = (operation: string, words: ReadonlyArray<string | number>) =>
    Effect.suspend(() => {
      if (lost !== undefined) return Effect.fail(lost)
      lastId = (lastId + 1) % 0x1_0000_0000
      const answer = Deferred.makeUnsafe<ReadonlyArray<string>, Refused | HostLost>()
      pending.set(lastId, answer)
      return writer.write(formatRequest(lastId, operation, words)).pipe(
        Effect.catch(() => lose(directory.path)),
        Effect.as(Deferred.await(answer))
      )
    })

  return {
    ask: (operation, ...words) => Effect.flatten(send(operation, words)),
    dismiss: (operation, ...words) =>
      send(operation, words).pipe(
        Effect.flatMap((answer) => Effect.timeoutOption(Effect.interruptible(answer), stuck ? 0 : patience)),
        Effect.map((answer) => void (stuck = Option.isNone(answer))),
        Effect.ignore
      )
  }
})
