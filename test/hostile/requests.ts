/**
 * The scenario in which a domain asks a listener for connections in every way that the store allows, and takes back what it asked at any moment.
 */
import { Listener, type Vchan } from "@vchan/vchan"
import { type Permissions, type Xen, XenStore, type XenStoreError } from "@vchan/xen"
import { Context, Effect, Fiber, type Scope, Stream } from "effect"
import * as fc from "fast-check"
import type { Backend } from "../conformance/Backend.ts"
import { scenario } from "./Scenario.ts"
import { inTime, turns, until } from "./turns.ts"
import { besides, honest, hostile, world } from "./world.ts"

const path = "data/rpc/asked"
const service = `/local/domain/${honest}/${path}`
const maxPerDomain = 8
/** Connections of two domains, each with its pages and its handler; and all nodes, of 3 KB at most, that the store lets a domain have, for it is in this process, too. */
const most = 2 * maxPerDomain * 64 * 1024 + 1000 * 3 * 1024

/** One thing to do to the keys, below the service's directory; `"all"` is done to every name of the directory. */
type RequestAction =
  | {
    readonly does: "ask"
    readonly directory: string
    readonly name: string
    readonly value: string
    readonly permissions: Permissions | undefined
    readonly times: number
  }
  | { readonly does: "remove"; readonly directory: string; readonly name: string }
  | { readonly does: "connect" }
  | { readonly does: "wait"; readonly turns: number }

const directory = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(`req/${hostile}`, "req/any") },
  fc.constantFrom("req", `req/${besides}`, "req/0", "vchan", `vchan/${hostile}`, "", "../beside/req/any", `../beside/vchan/${besides}`)
)
const name = fc.oneof(
  fc.constantFrom("a", "b", "AAAAAA", "12345678"),
  fc.constantFrom("123456789", "a.b", "..", "a/b", "a/b/c", "@x", "", "-", "_", "x".repeat(300), "any", "__proto__")
)
const permissions: fc.Arbitrary<Permissions> = fc.tuple(
  fc.record({ domid: fc.constantFrom(hostile, hostile, honest, besides, 0, 32751), access: fc.constantFrom("n", "r", "w", "b") }),
  fc.array(
    fc.record({ domid: fc.constantFrom(hostile, honest, besides, 0, 77), access: fc.constantFrom("n", "r", "w", "b") }),
    { maxLength: 3 }
  )
).map(([first, others]) => [first, ...others])

const requestAction: fc.Arbitrary<RequestAction> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constant("ask" as const),
      directory,
      name,
      value: fc.oneof(fc.constantFrom("1", "", "0", "9".repeat(2000)), fc.string({ maxLength: 20 })),
      permissions: fc.option(permissions, { nil: undefined }),
      times: fc.oneof({ weight: 60, arbitrary: fc.constant(1) }, fc.constant(1200))
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant("remove" as const), directory, name: fc.oneof(name, fc.constantFrom("all", "all")) })
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("connect" as const) }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant("wait" as const), turns: fc.integer({ min: 1, max: 10 }) }) }
)

/** Does one thing, as far as the store allows it; tells what the store refused. */
const act = Effect.fnUntraced(function*(context: Context.Context<Xen>, action: RequestAction, note: (met: string) => void) {
  const store = Context.get(context, XenStore)
  const tried = (effect: Effect.Effect<unknown, XenStoreError>) =>
    Effect.match(effect, { onFailure: (error) => note(error.code ?? error.reason._tag), onSuccess: () => {} })
  switch (action.does) {
    case "ask":
      for (let times = 0; times < action.times; times++) {
        const key = `${service}/${action.directory}/${action.name}${times === 0 ? "" : times}`
        yield* tried(store.write(key, action.value))
        if (action.permissions !== undefined) yield* tried(store.setPermissions(key, action.permissions))
      }
      return
    case "remove": {
      const base = `${service}/${action.directory}`
      const all = action.name === "all" ? yield* Effect.orElseSucceed(store.directory(base), () => []) : [action.name]
      for (const each of [...all, ...action.name === "" ? [""] : []]) yield* tried(store.remove(each === "" ? base : `${base}/${each}`))
      return
    }
    case "connect":
      yield* Listener.connect({ domid: honest, path, timeout: "50 millis" }).pipe(
        Effect.tap(() => Effect.sync(() => note("connected"))),
        Effect.catch((error) => Effect.sync(() => note(error.reason._tag))),
        Effect.provideContext(context),
        Effect.forkScoped
      )
      return
    case "wait":
      return yield* turns(action.turns)
  }
})

/** Writes and reads the same again. */
const echoes = Effect.fnUntraced(function*(vchan: Vchan, text: Uint8Array) {
  yield* vchan.write(text)
  const got = new Uint8Array(text.length)
  for (let at = 0; at < got.length;) at += yield* vchan.readInto(got.subarray(at))
  if (!got.every((byte, at) => byte === text[at])) yield* Effect.die(new Error("a client got other bytes than it sent"))
})

/**
 * Of a service that names it, the honest client is let in again and again; of one for everybody, which can be crowded, it has a connection that
 * stays.
 */
const client = Effect.fnUntraced(function*(context: Context.Context<Xen>, isNamed: boolean): Effect.fn.Return<
  Effect.Effect<void>,
  never,
  Scope.Scope
> {
  let count = 0
  const connection = Effect.provideContext(Listener.connect({ domid: honest, path }), context)
  const once = (vchan: Vchan) => Effect.andThen(echoes(vchan, new Uint8Array(500).fill(++count)), turns(1))
  const loop = isNamed
    ? Effect.forever(Effect.scoped(Effect.flatMap(connection, once)))
    : Effect.scoped(Effect.flatMap(connection, (vchan) => Effect.forever(Effect.suspend(() => once(vchan)))))
  const fiber = yield* Effect.forkScoped(Effect.orDie(loop))
  yield* Effect.raceFirst(until("the honest client's first echo", () => count > 1), Fiber.join(fiber))
  return Effect.suspend(() => {
    const from = count
    return Effect.raceFirst(until("the honest client's next echoes", () => count > from + 1), Fiber.join(fiber))
  })
})

/** A hostile domain that asks a listener. */
export const hostileRequests = (backend: Backend) =>
  scenario({
    name: `a domain that asks a listener, ${backend.name}`,
    plan: fc.record({ isNamed: fc.boolean(), actions: fc.array(requestAction, { maxLength: 40, size: "max" }) }),
    actions: ({ actions }) => actions.length,
    run: ({ actions, isNamed }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          const held = new Map<number, number>()
          const count = (domid: number, by: number) => {
            const now = (held.get(domid) ?? 0) + by
            held.set(domid, now)
            return now > maxPerDomain || ![hostile, besides].includes(domid)
              ? Effect.die(new Error(`domain ${domid} holds ${now} connections`))
              : Effect.void
          }
          let wrong: unknown
          yield* Listener.make<never>({
            path,
            clients: isNamed ? [hostile, besides] : "any",
            leftMin: 1024,
            rightMin: 1024,
            maxPerDomain,
            handler: (vchan) =>
              Effect.acquireUseRelease(
                Effect.catchDefect(count(vchan.peer, 1), (defect) => Effect.sync(() => void (wrong = defect))),
                () => Effect.ignore(Stream.runForEach(vchan.stream, vchan.write)),
                () => Effect.ignoreCause(count(vchan.peer, -1))
              )
          }).pipe(Effect.provideContext(parties.honest))
          const goesOn = yield* client(parties.besides, isNamed)
          yield* ledger.begin
          yield* Effect.scoped(Effect.gen(function*() {
            for (const action of actions) yield* inTime("the end of what the store was asked", act(parties.hostile, action, ledger.note))
            yield* goesOn
            yield* ledger.weigh(most, () => 0)
          }))
          yield* goesOn
          if (wrong !== undefined) yield* Effect.die(wrong)
        })
      )
  })
