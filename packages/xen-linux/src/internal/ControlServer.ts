/**
 * The host's side of the socket `control`: what a kernel and a hypervisor would be asked, one line a request.
 *
 * A connection that joined is one process of a domain: it holds what it asked for, and when it closes, however it closes, all of that is
 * released. A line that is no request ends the connection; a request that cannot be granted is refused, and that is all.
 */
import type { DomId, Guest, SystemRefusal } from "@vchan/xen"
import { Deferred, Effect, Exit, Schema, Scope } from "effect"
import { Socket } from "effect/socket"
import { HostStatus } from "../HostStatus.ts"
import { destroyedNotice, formatOk, formatRefusal, LineDecoder, parseRequest, type Refusal, type Request } from "./ControlProtocol.ts"
import { domidIn, guestOperations, invalid, refusalOf } from "./guestOperations.ts"

/** What the host does for its control connections. */
export interface ControlHost {
  /** A process comes; it leaves when the Scope closes. `destroyed` is done when its domain is destroyed. */
  readonly join: (domid: DomId | undefined, destroyed: Deferred.Deferred<void>) => Effect.Effect<Guest, SystemRefusal, Scope.Scope>
  /** False where there is no such domain, and for domain 0. */
  readonly destroy: (domid: DomId) => Effect.Effect<boolean>
  readonly status: Effect.Effect<HostStatus>
}

const notJoined = invalid("join a domain first")

const encodeStatus = Schema.encodeEffect(Schema.fromJsonString(HostStatus))

/** Serves one connection until it ends. */
export const serveControl = (host: ControlHost, socket: Socket.Socket): Effect.Effect<void> =>
  Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    // Not the polite end, which would wait for a client that reads nothing.
    yield* Effect.addFinalizer(() => Effect.ignore(writer.write(new Socket.CloseEvent())))
    const destroyed = yield* Deferred.make<void>()
    const answer = yield* makeAnswer(host, destroyed)
    const lines = new LineDecoder()
    const serve = Effect.gen(function*() {
      while (true) {
        for (const chunk of yield* pull) {
          for (const line of lines.feed(chunk) ?? [""]) {
            const request = parseRequest(line)
            if (request === undefined) return
            yield* writer.write(yield* answer(request))
          }
        }
      }
    })
    const notice = Effect.andThen(Deferred.await(destroyed), writer.write(`${destroyedNotice}\n`))
    yield* Effect.raceFirst(serve, Effect.andThen(notice, Effect.never))
  }).pipe(Effect.scoped, Effect.ignore)

/** Answers the requests of one connection, which is no process of any domain before it joins one. */
const makeAnswer = Effect.fnUntraced(function*(host: ControlHost, destroyed: Deferred.Deferred<void>) {
  const scope = yield* Effect.scope
  let process: { readonly guest: Guest; readonly scope: Scope.Closeable } | undefined

  const join = Effect.fnUntraced(function*(words: ReadonlyArray<string>) {
    if (process !== undefined) return yield* Effect.fail(invalid("this connection has joined a domain already"))
    const domid = words.length === 0 ? undefined : yield* Effect.fromResult(domidIn(words[0]))
    const stay = yield* Scope.fork(scope)
    const guest = yield* host.join(domid, destroyed).pipe(Scope.provide(stay), Effect.mapError(refusalOf))
    process = { guest, scope: stay }
    return [guest.domid, guest.id]
  })

  const leave = Effect.suspend(() => {
    const left = process
    process = undefined
    return left === undefined ? Effect.fail(notJoined) : Effect.as(Scope.close(left.scope, Exit.void), [])
  })

  const perform = ({ operation, words }: Request): Effect.Effect<ReadonlyArray<string | number>, Refusal> => {
    switch (operation) {
      case "join":
        return join(words)
      case "leave":
        return leave
      case "status":
        return host.status.pipe(Effect.flatMap(encodeStatus), Effect.map((json) => [json]), Effect.orDie)
      case "destroy":
        return Effect.fromResult(domidIn(words[0])).pipe(
          Effect.flatMap((domid) => host.destroy(domid)),
          Effect.filterOrFail((found) => found, () => invalid("there is no such domain, or it is domain 0, which stays")),
          Effect.as([])
        )
    }
    if (Deferred.isDoneUnsafe(destroyed)) return Effect.fail(invalid("this process's domain was destroyed"))
    const asked = guestOperations.get(operation)
    if (asked === undefined) return Effect.fail({ code: "ENOSYS", number: 0, text: "there is no such operation" })
    return process === undefined ? Effect.fail(notJoined) : Effect.fromResult(asked(process.guest, words))
  }

  return (request: Request): Effect.Effect<string> =>
    perform(request).pipe(
      Effect.map((words) => formatOk(request.id, words)),
      Effect.catch((refusal) => Effect.succeed(formatRefusal(request.id, refusal)))
    )
})
