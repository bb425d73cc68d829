/**
 * Other processes for tests: hosts and domains that do as they are told. Each is killed when its Scope ends.
 */
import type { DomId, GrantReference, UnmapNotify } from "@vchan/xen"
import { Data, Deferred, Effect, Queue, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export type Command =
  | { readonly _tag: "Share"; readonly domid: DomId; readonly count: number; readonly notify?: UnmapNotify }
  | {
    readonly _tag: "Map"
    readonly domid: DomId
    readonly references: ReadonlyArray<GrantReference>
    readonly writable: boolean
    readonly notify?: UnmapNotify
  }
  | { readonly _tag: "BindUnbound"; readonly domid: DomId }
  | { readonly _tag: "BindInterdomain"; readonly domid: DomId; readonly port: number }
  | { readonly _tag: "Notify"; readonly port: number }
  | { readonly _tag: "Read"; readonly index: number; readonly offset: number }
  | { readonly _tag: "Write"; readonly index: number; readonly offset: number; readonly value: number }
  | { readonly _tag: "StoreWrite"; readonly path: string }
  | { readonly _tag: "StoreWatch"; readonly path: string }
  | { readonly _tag: "StoreTransaction" }
  | { readonly _tag: "Close" }

export type Reply =
  | { readonly _tag: "Ready"; readonly domid: DomId }
  | { readonly _tag: "Done"; readonly id: number; readonly value: unknown }
  | { readonly _tag: "Failed"; readonly id: number; readonly reason: string; readonly message: string }
  | { readonly _tag: "Event"; readonly port: number }
  | { readonly _tag: "Watch"; readonly path: string }
  | { readonly _tag: "WatchFailed"; readonly reason: string; readonly message: string }

/** A command that failed in the other process. */
class RemoteFailure extends Data.TaggedError("RemoteFailure")<{ readonly reason: string; readonly message: string }> {}

/** Another process. */
export interface Remote {
  readonly process: ChildProcess
  readonly domid: DomId
  readonly tell: (command: Command) => Effect.Effect<unknown, RemoteFailure>
  readonly share: (command: Omit<Extract<Command, { _tag: "Share" }>, "_tag">) => Effect.Effect<Pages, RemoteFailure>
  readonly map: (command: Omit<Extract<Command, { _tag: "Map" }>, "_tag">) => Effect.Effect<Pages, RemoteFailure>
  readonly bindUnbound: (domid: DomId) => Effect.Effect<number, RemoteFailure>
  readonly bindInterdomain: (domid: DomId, port: number) => Effect.Effect<number, RemoteFailure>
  /** The next event or watch, in bounded time. */
  readonly next: (tag: "Event" | "Watch" | "WatchFailed") => Effect.Effect<Reply>
  readonly kill: Effect.Effect<void>
  /** Tells the process to close its Layer. */
  readonly close: Effect.Effect<void>
  /** The exit code, or the signal's name. */
  readonly exited: Effect.Effect<number | string>
}

interface Pages {
  readonly index: number
  readonly references: ReadonlyArray<GrantReference>
}

const bounded = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.timeoutOrElse(effect, { duration: "60 seconds", orElse: () => Effect.die(new Error(`never came: ${what}`)) })

const start = Effect.fnUntraced(function*(...words: ReadonlyArray<string>): Effect.fn.Return<Remote, never, Scope.Scope> {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      fork(fileURLToPath(new URL("domainProcess.ts", import.meta.url)), words, { execArgv: ["--conditions=@vchan/source"] })
    ),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  const ready = yield* Deferred.make<DomId>()
  const gone = yield* Deferred.make<number | string>()
  const waiting = new Map<number, (answer: Effect.Effect<unknown, RemoteFailure>) => void>()
  const seen = {
    Event: yield* Queue.unbounded<Reply>(),
    Watch: yield* Queue.unbounded<Reply>(),
    WatchFailed: yield* Queue.unbounded<Reply>()
  }
  let lastId = 0
  child.once("exit", (code, signal) => Deferred.doneUnsafe(gone, Effect.succeed(signal ?? code ?? -1)))
  child.on("message", (reply: Reply) => {
    switch (reply._tag) {
      case "Ready":
        return Deferred.doneUnsafe(ready, Effect.succeed(reply.domid))
      case "Done":
        return waiting.get(reply.id)?.(Effect.succeed(reply.value))
      case "Failed":
        return waiting.get(reply.id)?.(Effect.fail(new RemoteFailure(reply)))
      default:
        return Queue.offerUnsafe(seen[reply._tag], reply)
    }
  })
  const tell = (command: Command) =>
    bounded(
      `an answer to ${command._tag}`,
      Effect.callback<unknown, RemoteFailure>((resume) => {
        waiting.set(++lastId, resume)
        child.send({ id: lastId, command })
      })
    )
  const tellFor = <A>(is: (value: unknown) => value is A) => (command: Command): Effect.Effect<A, RemoteFailure> =>
    Effect.flatMap(
      tell(command),
      (value) => is(value) ? Effect.succeed(value) : Effect.die(new Error(`unexpected: ${JSON.stringify(value)}`))
    )
  const pages = tellFor((value): value is Pages => typeof value === "object" && value !== null && "references" in value)
  const port = tellFor((value): value is number => typeof value === "number")
  return {
    process: child,
    domid: yield* bounded("the child's start", Deferred.await(ready)),
    tell,
    share: (options) => pages({ _tag: "Share", ...options }),
    map: (options) => pages({ _tag: "Map", ...options }),
    bindUnbound: (domid) => port({ _tag: "BindUnbound", domid }),
    bindInterdomain: (domid, remote) => port({ _tag: "BindInterdomain", domid, port: remote }),
    next: (tag) => bounded(tag, Queue.take(seen[tag])),
    kill: Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), bounded("the child's end", Effect.asVoid(Deferred.await(gone)))),
    close: Effect.sync(() => void child.send({ id: 0, command: { _tag: "Close" } })),
    exited: bounded("the child's end", Deferred.await(gone))
  }
})

/** A process in a domain of a host. */
export const remoteDomain = (directory: string, domid?: DomId): Effect.Effect<Remote, never, Scope.Scope> =>
  start("domain", directory, ...(domid === undefined ? [] : [String(domid)]))

/** A host in a process of its own. */
export const remoteHost = (directory: string): Effect.Effect<Remote, never, Scope.Scope> => start("host", directory)
