/**
 * Scenarios in which the peer keeps to the rings and sends any frames: as a client of an honest server, and as the server of honest calls.
 */
import { Deadline, VchanRpcClient, VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { Cause, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import * as fc from "fast-check"
import type { Backend } from "../conformance/Backend.ts"
import { Fuzzed, handlers, methods, service, servicePath } from "./contract.ts"
import { counted, quiet } from "./counted.ts"
import { FramePeer } from "./FramePeer.ts"
import { frameAction, greeting } from "./frames.ts"
import { limits, mostKept } from "./limits.ts"
import { scenario } from "./Scenario.ts"
import { inTime, turns, until } from "./turns.ts"
import { honest, hostile, world } from "./world.ts"

/** What a call of the honest side keeps of its own: a payload, and what it gathers. */
const ofCall = 256 * 1024

/** What is sent on one connection: a Hello, whole or in part, and then frames. */
export const plan = (side: "client" | "server") =>
  fc.record({
    greeting,
    actions: fc.array(frameAction(side), { maxLength: 40, size: "max" })
  })

/** A hostile client of an honest server. */
export const hostileCallers = (backend: Backend) =>
  scenario({
    name: `a client that sends any frames, ${backend.name}`,
    plan: fc.record({ connections: fc.array(plan("client"), { minLength: 1, maxLength: 3 }), drains: fc.boolean() }),
    actions: ({ connections }) => connections.reduce((sum, { actions }) => sum + actions.length + 1, 0),
    run: ({ connections, drains }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          const running = { count: 0, most: 0 }
          const { context, work } = counted(parties.honest)
          const server = yield* Scope.fork(yield* Effect.scope)
          yield* VchanRpcServer.layer(Fuzzed, { service, clients: [hostile], helloTimeout: "100 millis", grace: "20 millis", ...limits })
            .pipe(
              Layer.provide(handlers(running)),
              Layer.buildWithScope(server),
              Effect.provideContext(context)
            )
          yield* ledger.begin
          yield* Effect.forEach(connections, ({ actions, greeting }, index) =>
            Effect.scoped(Effect.gen(function*() {
              const vchan = yield* Listener.connect({ domid: honest, path: servicePath }).pipe(Effect.provideContext(parties.hostile))
              const peer = new FramePeer(vchan, greeting, ledger.note)
              for (const action of actions) yield* turns(peer.act(action))
              yield* turns(5)
              yield* quiet(work)
              yield* ledger.worked(work, connections.length + actions.length)
              yield* ledger.weigh(mostKept(limits), () => peer.held)
              if (drains && index === connections.length - 1) {
                const over = yield* Effect.forkScoped(Scope.close(server, Exit.void))
                for (const action of actions.slice(0, 10)) yield* turns(peer.act(action))
                yield* inTime("the end of a server whose client stays", Fiber.join(over))
              }
            })))
          yield* until("the end of the handlers of clients that are gone", () => running.count === 0)
          if (running.most > limits.maxCalls) yield* Effect.die(new Error(`${running.most} handlers ran, of ${limits.maxCalls} allowed`))
        })
      )
  })

/** What an honest caller does: calls a method, and maybe gives it up. */
interface CallAction {
  readonly does: "call"
  readonly method: (typeof methods)[number]["name"]
  readonly how: "waits" | "is interrupted" | "has a deadline" | "wants no answer"
}

const callAction: fc.Arbitrary<CallAction> = fc.record({
  does: fc.constant("call"),
  method: fc.constantFrom(...methods.map(({ name }) => name)),
  how: fc.constantFrom("waits", "waits", "is interrupted", "has a deadline", "wants no answer")
})

type Client = Effect.Success<ReturnType<typeof connectTo>>
// Calls wait for a new connection: there has to be an end of trying.
const connectTo = (domain: number) =>
  VchanRpcClient.make(Fuzzed, { domain, service, timeout: "200 millis", reconnect: Schedule.recurs(2), ...limits })

const isText = (value: unknown) => typeof value === "string"
const isNumber = (value: unknown) => typeof value === "number"

/** The honest call of a method, which dies where it is answered with what its type does not allow. */
const called = (client: Client, { how, method }: CallAction): Effect.Effect<void, unknown> => {
  const discard = how === "wants no answer"
  const check = (is: (value: unknown) => boolean) => (value: unknown) =>
    discard || is(value) ? Effect.void : Effect.die(new Error(`${method} gave ${String(value)}`))
  switch (method) {
    case "Say":
      return Effect.flatMap(client.Say({ text: "x".repeat(100) }, { discard }), check(isText))
    case "Wait":
      return Effect.flatMap(client.Wait(undefined, { discard }), check((value) => value === undefined))
    case "Count":
      return Stream.runForEach(client.Count({ to: 1000 }), check(isNumber))
    case "Long":
      return Effect.flatMap(client.Long({ length: 100_000 }, { discard }), check(isText))
    case "Upload":
      return Effect.flatMap(client.Upload({ data: new Uint8Array(100_000) }, { discard }), check(isNumber))
    case "Fail":
      return Effect.catch(
        Effect.flatMap(client.Fail({ code: 7 }, { discard }), check((value) => value === undefined)),
        (error) => error instanceof VchanRpcError ? Effect.fail(error) : check(isNumber)(error.code)
      )
    case "Climb":
      return Effect.flatMap(client.Climb({ tree: { branches: [] } }, { discard }), check((value) => typeof value === "object"))
    case "Any":
      return Effect.flatMap(client.Any({ value: 1, record: {} }, { discard }), check((value) => value !== undefined))
    case "Hold":
      return Effect.flatMap(client.Hold({ value: [1] }, { discard }), check((value) => value === undefined))
    case "Store":
      return Effect.flatMap(client.Store({ name: "n", data: Stream.make(new Uint8Array(2000), new Uint8Array(9000)) }), check(isNumber))
    case "Double":
      return Stream.runForEach(client.Double(Stream.range(1, 1000)), check(isNumber)).pipe(
        Effect.catch((error) => error instanceof VchanRpcError ? Effect.fail(error) : check(isText)(error))
      )
    default:
      return Stream.runForEach(client.Nothings({ count: 1000 }), check((value) => value === undefined))
  }
}

/** A hostile server of honest calls. */
export const hostileAnswerers = (backend: Backend) =>
  scenario({
    name: `a server that sends any frames, ${backend.name}`,
    plan: fc.record({
      greeting,
      actions: fc.array(fc.oneof({ weight: 3, arbitrary: frameAction("server") }, { weight: 1, arbitrary: callAction }), {
        maxLength: 60,
        size: "max"
      })
    }),
    actions: ({ actions }) => actions.length + 1,
    run: ({ actions, greeting }, ledger) =>
      world(
        backend,
        Effect.fnUntraced(function*(parties) {
          const server = yield* Scope.fork(yield* Effect.scope)
          const { context, work } = counted(parties.honest)
          let peer: FramePeer | undefined
          yield* Listener.make({
            path: servicePath,
            clients: "any",
            handler: (vchan) =>
              Effect.suspend(() => {
                peer = new FramePeer(vchan, greeting, ledger.note)
                return Effect.asVoid(vchan.ended)
              })
          }).pipe(Effect.provideContext(parties.hostile), Scope.provide(server))
          const client = yield* connectTo(hostile).pipe(
            Effect.provideContext(context),
            Effect.catch((error) => Effect.as(Effect.sync(() => ledger.note(error.reason._tag)), undefined))
          )
          if (client === undefined) return
          yield* ledger.begin
          const calls: Array<Fiber.Fiber<void, unknown>> = []
          let defects = 0
          for (const action of actions) {
            if (action.does === "call") {
              const call = called(client, action)
              const fiber = yield* Effect.forkScoped(action.how === "has a deadline" ? Deadline.within(call, "2 millis") : call)
              if (action.how === "is interrupted") yield* Effect.forkScoped(Effect.andThen(turns(2), Fiber.interrupt(fiber)))
              calls.push(fiber)
            } else {
              if ("type" in action && action.type === 8) defects++
              yield* turns(peer?.act(action) ?? 0)
            }
          }
          yield* turns(5)
          yield* quiet(work)
          yield* ledger.worked(work, actions.length)
          yield* ledger.weigh(mostKept(limits) + calls.length * ofCall, () => peer?.held ?? 0)
          yield* Scope.close(server, Exit.void)
          for (const call of calls) {
            const exit = yield* inTime("the end of a call whose server is gone", Fiber.await(call))
            if (Exit.isSuccess(exit)) ledger.note("answered")
            else if (Cause.hasDies(exit.cause) && defects === 0) yield* Effect.failCause(exit.cause)
            else {for (const { error } of exit.cause.reasons.filter(Cause.isFailReason)) {
                ledger.note(error instanceof VchanRpcError ? error.reason._tag : "error")
              }}
          }
        })
      )
  })
