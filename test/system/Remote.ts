/**
 * dom0 has a guest's agent start programs: each command is a key below the guest's `data/agent/do`, which dom0 writes and the guest
 * removes, and its answer one below `data/agent/done`, which the guest writes and dom0 removes.
 */
import { type DomId, XenStore, type XenStoreError } from "@vchan/xen"
import { Deferred, Effect, Fiber, Option, Schema, type Scope, Stream } from "effect"
import { BenchError, type Program } from "./Programs.ts"

/** What an agent is asked. Programs are known by the number of the command that started them. */
export const Command = Schema.fromJsonString(Schema.Union([
  Schema.TaggedStruct("Start", { argv: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("Said", { id: Schema.Int, start: Schema.String }),
  Schema.TaggedStruct("Exit", { id: Schema.Int }),
  Schema.TaggedStruct("Kill", { id: Schema.Int }),
  Schema.TaggedStruct("End", { id: Schema.Int }),
  Schema.TaggedStruct("Held", {})
]))

/** What it answers. */
export const Answer = Schema.fromJsonString(Schema.Union([
  Schema.TaggedStruct("Done", { text: Schema.String }),
  Schema.TaggedStruct("Failed", { message: Schema.String })
]))

/** The agent's directory, relative to its domain. */
export const directory = "data/agent"

/** An agent as dom0 sees it. */
export interface Remote {
  readonly start: (argv: ReadonlyArray<string>) => Effect.Effect<Program, BenchError, Scope.Scope>
  /** What the guest holds, in one line. */
  readonly held: Effect.Effect<string, BenchError>
  /** The guest was restored under another domid: from now on it is asked, and answers, there. */
  readonly moved: (domid: DomId) => Effect.Effect<void, never, Scope.Scope>
}

const failed = (error: { readonly message: string }) => new BenchError({ message: error.message })

/** Handles each key below a directory, those too that were there before the watch was: its first event names the directory itself. */
const follow = <E, R>(
  store: XenStore["Service"],
  parent: string,
  handle: (name: string) => Effect.Effect<unknown, E, R>
): Effect.Effect<void, E | XenStoreError, R> =>
  Stream.runForEach(store.watch(parent), (path) =>
    path === parent
      ? Effect.flatMap(Effect.orElseSucceed(store.directory(parent), () => []), Effect.forEach(handle))
      : handle(path.slice(parent.length + 1)))

/** Waits until a guest's agent is there. */
export const attach = Effect.fnUntraced(function*(domid: DomId): Effect.fn.Return<Remote, BenchError, XenStore | Scope.Scope> {
  const store = yield* XenStore
  let base = `/local/domain/${domid}/${directory}`
  const waiting = new Map<string, Deferred.Deferred<typeof Answer.Type, BenchError>>()
  let count = 0
  yield* store.watch(`${base}/ready`).pipe(
    Stream.mapEffect(() => Effect.option(store.read(`${base}/ready`))),
    Stream.filter(Option.isSome),
    Stream.runHead,
    Effect.mapError(failed)
  )
  const answered = Effect.fnUntraced(function*(id: string) {
    const path = `${base}/done/${id}`
    const waiter = waiting.get(id)
    if (waiter === undefined) return
    const text = yield* Effect.option(store.read(path))
    if (Option.isNone(text)) return
    waiting.delete(id)
    yield* Deferred.complete(waiter, Effect.mapError(Schema.decodeEffect(Answer)(text.value), failed))
    yield* Effect.ignore(store.remove(path))
  })
  const listen = Effect.suspend(() => Effect.asVoid(Effect.forkScoped(follow(store, `${base}/done`, answered))))
  yield* listen

  const tell = (id: string, command: typeof Command.Type) =>
    Effect.mapError(Effect.flatMap(Schema.encodeEffect(Command)(command), (text) => store.write(`${base}/do/${id}`, text)), failed)

  const ask = Effect.fnUntraced(function*(command: typeof Command.Type) {
    const id = String(++count)
    const waiter = yield* Deferred.make<typeof Answer.Type, BenchError>()
    waiting.set(id, waiter)
    yield* tell(id, command)
    const answer = yield* Deferred.await(waiter)
    return answer._tag === "Done" ? { id: Number(id), text: answer.text } : yield* new BenchError({ message: answer.message })
  })

  return {
    held: Effect.map(ask({ _tag: "Held" }), ({ text }) => text),
    moved: (domid) => {
      base = `/local/domain/${domid}/${directory}`
      return listen
    },
    start: (argv) =>
      Effect.map(
        Effect.acquireRelease(
          ask({ _tag: "Start", argv }),
          // What a program leaves behind is looked at later, so its end is not waited for.
          ({ id }) => Effect.ignore(tell(String(++count), { _tag: "End", id }))
        ),
        ({ id }) => ({
          said: (start) => Effect.map(ask({ _tag: "Said", id, start }), ({ text }) => text),
          exit: Effect.map(ask({ _tag: "Exit", id }), ({ text }) => Number(text)),
          kill: Effect.asVoid(ask({ _tag: "Kill", id }))
        })
      )
  }
})

/** The agent: does what dom0 asks, for ever. */
export const serve = (
  start: (argv: ReadonlyArray<string>) => Effect.Effect<Program, BenchError, Scope.Scope>,
  held: Effect.Effect<string>
): Effect.Effect<void, BenchError, XenStore> =>
  Effect.gen(function*() {
    const store = yield* XenStore
    const programs = new Map<number, { readonly program: Program; readonly fiber: Fiber.Fiber<unknown, unknown> }>()
    const known = (id: number) => {
      const found = programs.get(id)
      return found === undefined ? Effect.fail(new BenchError({ message: `no program ${id}` })) : Effect.succeed(found)
    }
    const perform = Effect.fnUntraced(function*(id: number, command: typeof Command.Type) {
      switch (command._tag) {
        case "Start": {
          const started = yield* Deferred.make<Program, BenchError>()
          const fiber = yield* Effect.forkDetach(Effect.scoped(
            Effect.andThen(Deferred.into(start(command.argv), started), Effect.never)
          ))
          programs.set(id, { program: yield* Deferred.await(started), fiber })
          return ""
        }
        case "Said":
          return yield* Effect.flatMap(known(command.id), ({ program }) => program.said(command.start))
        case "Exit":
          return String(yield* Effect.flatMap(known(command.id), ({ program }) => program.exit))
        case "Kill":
          return yield* Effect.as(Effect.flatMap(known(command.id), ({ program }) => program.kill), "")
        case "End": {
          const { fiber } = yield* known(command.id)
          programs.delete(command.id)
          yield* Fiber.interrupt(fiber)
          return ""
        }
        case "Held":
          return yield* held
      }
    })
    const seen = new Set<string>()
    const asked = Effect.fnUntraced(function*(id: string) {
      const path = `${directory}/do/${id}`
      if (seen.has(id)) return
      const text = yield* Effect.option(store.read(path))
      if (Option.isNone(text)) return
      seen.add(id)
      yield* Effect.forkDetach(store.remove(path))
      const command = yield* Schema.decodeEffect(Command)(text.value)
      const answer = yield* perform(Number(id), command).pipe(
        Effect.match({
          onFailure: ({ message }): typeof Answer.Type => ({ _tag: "Failed", message: message.slice(0, 1500) }),
          onSuccess: (text): typeof Answer.Type => ({ _tag: "Done", text: text.slice(0, 1500) })
        })
      )
      if (command._tag === "End") return
      yield* Effect.flatMap(Schema.encodeEffect(Answer)(answer), (text) => store.write(`${directory}/done/${id}`, text))
    })
    yield* store.write(`${directory}/done`, "")
    yield* store.write(`${directory}/ready`, "")
    yield* follow(store, `${directory}/do`, (id) => Effect.forkDetach(Effect.orDie(asked(id))))
  }).pipe(Effect.mapError(failed))
