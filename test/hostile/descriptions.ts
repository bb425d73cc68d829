/**
 * The scenario in which a domain announces any services, tells anything of their methods, and answers calls with anything, while an honest
 * domain lists them, calls them by what is told of them, and by its own code: with what `vchan services` and `vchan call` run.
 */
import { VchanRpcClient } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { XenStore } from "@vchan/xen"
import { Console, Context, Duration, Effect, Option, Sink, Stdio, Stream } from "effect"
import * as fc from "fast-check"
import { callMethod } from "../../packages/cli/src/callMethod.ts"
import { list } from "../../packages/cli/src/list.ts"
import type { Backend } from "../conformance/Backend.ts"
import { Fuzzed, methods, service, servicePath } from "./contract.ts"
import { FramePeer } from "./FramePeer.ts"
import { type FrameAction, frameAction, helloTelling } from "./frames.ts"
import { limits, mostKept } from "./limits.ts"
import { scenario } from "./Scenario.ts"
import { announcedName, methodsTold, type ToldMethod } from "./shapes.ts"
import { inTime, turns } from "./turns.ts"
import { hostile, world } from "./world.ts"

/** What the honest side does. */
type Ask =
  | { readonly does: "list"; readonly json: boolean }
  /** The method's place among those that are told, and its payload. */
  | { readonly does: "call"; readonly method: number; readonly payload: string }
  | { readonly does: "connect" }

const ask: fc.Arbitrary<Ask> = fc.oneof(
  fc.record({ does: fc.constant("list"), json: fc.boolean() }),
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant("call"),
      method: fc.nat(5),
      payload: fc.oneof(
        { weight: 4, arbitrary: fc.constant("null") },
        fc.constantFrom("[]", "{}", "0", `{"__proto__":{"x":1}}`, "[".repeat(300) + "7" + "]".repeat(300)),
        fc.json()
      )
    })
  },
  fc.record({ does: fc.constant("connect") })
)

/** A reply in the binary codec: few kinds of bytes, which read as counts and as places in unions. */
const reply: fc.Arbitrary<FrameAction> = fc.record({
  does: fc.constant("frame"),
  type: fc.constantFrom(6, 6, 10, 7, 9),
  flags: fc.constant(0),
  method: fc.constant(0),
  id: fc.constant(0),
  envelope: fc.constant(undefined),
  real: fc.constant(true),
  length: fc.constant(undefined),
  body: fc.oneof(
    fc.uint8Array({ max: 3, maxLength: 60 }),
    fc.constantFrom(1, 2).map((byte) => new Uint8Array(5000).fill(byte)),
    fc.uint8Array({ maxLength: 60 })
  )
})

/** What steers a terminal, or forges a line; each text that is printed ends its own line. */
const commands = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

/** Takes what is printed, and dies where a terminal would obey it. */
const terminal = () => {
  let wrong: string | undefined
  const print = (text: unknown) => {
    if (commands.test(String(text))) wrong ??= `printed: ${JSON.stringify(text)}`
  }
  const console: Console.Console = { ...globalThis.console, log: print, error: print }
  const stdio = Stdio.make({
    args: Effect.succeed([]),
    stdin: Stream.empty,
    stdout: () => Sink.forEach((text) => Effect.sync(() => print(typeof text === "string" ? text : new TextDecoder().decode(text)))),
    stderr: () => Sink.drain
  })
  return {
    context: Context.make(Console.Console, console).pipe(Context.add(Stdio.Stdio, stdio)),
    print,
    check: Effect.suspend(() => wrong === undefined ? Effect.void : Effect.die(new Error(wrong)))
  }
}

/** Commands leave their exit code where the process takes it. */
const keepingExitCode = Effect.acquireRelease(
  Effect.sync(() => process.exitCode),
  (code) => Effect.sync(() => void (process.exitCode = code))
)

const timeout = Duration.millis(100)

/** A hostile domain that describes itself. */
export const hostileDescriptions = (backend: Backend) =>
  scenario({
    name: `a server that tells anything of itself, ${backend.name}`,
    plan: fc.record({
      announced: fc.array(announcedName, { maxLength: 4 }),
      told: methodsTold(methods.map(({ name }) => name)),
      asks: fc.array(ask, { minLength: 1, maxLength: 4 }),
      replies: fc.array(fc.oneof({ weight: 3, arbitrary: reply }, frameAction("server")), { maxLength: 6 })
    }),
    actions: ({ announced, asks, replies, told }) => announced.length + told.length + asks.length + replies.length,
    run: ({ announced, asks, replies, told }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          yield* keepingExitCode
          yield* serve(told, replies, ledger.note).pipe(Effect.provideContext(parties.hostile))
          const store = Context.get(parties.hostile, XenStore)
          for (const name of announced) yield* Effect.ignore(store.makeDirectory(`data/rpc-for/any/${name}`))
          const { check, context, print } = terminal()
          const perform = Effect.fnUntraced(function*(ask: Ask) {
            switch (ask.does) {
              case "list":
                return yield* list({ domain: hostile, timeout: Option.some(timeout), json: ask.json })
              case "call": {
                const method = `${service}.${told[ask.method % Math.max(1, told.length)]?.name ?? "Say"}`
                return yield* callMethod({ domain: hostile, method, payload: ask.payload, header: {}, timeout: Option.some(timeout) })
              }
              case "connect":
                return yield* Effect.asVoid(
                  VchanRpcClient.make(Fuzzed, { domain: hostile, service, timeout, reconnect: false, strict: true, ...limits })
                )
            }
          })
          yield* ledger.begin
          for (const ask of asks) {
            const end = yield* inTime(
              `the end of: ${ask.does}`,
              Effect.result(Effect.scoped(perform(ask)).pipe(Effect.provideContext(Context.merge(parties.honest, context))))
            )
            ledger.note(end._tag === "Success" ? `${ask.does} done` : `${ask.does} ${end.failure._tag}`)
            if (end._tag === "Failure") print(end.failure.message)
            yield* check
          }
          yield* ledger.weigh(mostKept(limits), () => 0)
          yield* Effect.ignore(store.remove("data/rpc-for"))
        })
      )
  })

/** Greets each client so, and then answers its first call. */
const serve = (told: ReadonlyArray<ToldMethod>, replies: ReadonlyArray<FrameAction>, note: (met: string) => void) =>
  Listener.make({
    path: servicePath,
    clients: "any",
    handler: Effect.fnUntraced(function*(vchan) {
      const peer = new FramePeer(vchan, { codec: "binary", hello: helloTelling(told) }, note)
      yield* Effect.forkScoped(Effect.forEach(replies, (action) => Effect.andThen(turns(3), Effect.suspend(() => turns(peer.act(action))))))
      yield* vchan.ended
    }, Effect.scoped)
  })
