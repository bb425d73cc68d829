/**
 * What becomes of a client that asks a listener while that ends, dies or begins, over any backend that has several domains: only a server that
 * says no refuses.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Vchan } from "@vchan/vchan"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import {
  answerDead,
  between,
  client,
  deaf,
  dial,
  echo,
  listen,
  names,
  reasonOf,
  requested,
  server,
  service,
  storeOf,
  talks,
  until
} from "./asking.ts"
import { type Backend, enter } from "./Backend.ts"

export const admission = (backend: Backend): void => {
  describe(`a client that has asked, on ${backend.name},`, () => {
    it.live.each([["asked", String(client)], ["knocked", "any"]])(
      "or %s only, is answered by the successor of a server whose domain went",
      ([, place]) =>
        between(
          backend,
          Effect.fnUntraced(function*(one, two, host) {
            yield* deaf(one, place)
            const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
            yield* requested(one, place)
            yield* host.destroy(server)
            yield* Effect.sleep("30 millis")
            yield* listen(yield* enter(host, server))
            yield* talks(yield* Fiber.join(asking))
          })
        )
    )

    it.live("is answered by the successor of a server that died after it had answered", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          yield* deaf(one)
          const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
          yield* requested(one)
          yield* answerDead(one)
          yield* Effect.sleep("30 millis")
          yield* host.destroy(server)
          yield* Effect.sleep("30 millis")
          yield* listen(yield* enter(host, server))
          yield* talks(yield* Fiber.join(asking))
        })
      ))

    it.live("is answered by a successor that clears away what a killed server left in a domain that lives on", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          for (const answers of [false, true]) {
            yield* Effect.scoped(Effect.gen(function*() {
              yield* deaf(one)
              const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
              yield* requested(one)
              if (answers) yield* answerDead(one)
              yield* listen(one)
              yield* talks(yield* Fiber.join(asking))
            }))
          }
        })
      ))

    it.live("is answered by a successor that takes requests at another place", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          yield* deaf(one, "any")
          const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
          yield* requested(one, "any")
          yield* listen(one, { clients: [client] })
          yield* talks(yield* Fiber.join(asking))
        })
      ))

    it.live("gets ServerAbsent when the server is gone and no other comes: in time, or at once where it does not want to wait", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          for (const [absent, timeout] of [["wait", "200 millis"], ["fail", "1 hour"]] as const) {
            yield* deaf(one)
            const asking = yield* Effect.forkChild(Effect.scoped(Effect.flip(dial(two, { absent, timeout }))), { startImmediately: true })
            yield* requested(one)
            yield* answerDead(one)
            yield* storeOf(one).remove(service)
            assert.strictEqual((yield* Fiber.join(asking)).reason._tag, "ServerAbsent")
          }
        })
      ))

    it.live("gets ServerAbsent from a server that is killed for good in a domain that lives on, with or without an answer", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          for (const answers of [false, true]) {
            yield* deaf(one)
            const asking = yield* Effect.forkChild(Effect.scoped(Effect.flip(dial(two, { timeout: "300 millis" }))), {
              startImmediately: true
            })
            yield* requested(one)
            if (answers) yield* answerDead(one)
            assert.strictEqual((yield* Fiber.join(asking)).reason._tag, "ServerAbsent")
            assert.deepStrictEqual(yield* names(one, `/req/${client}`), [])
            yield* storeOf(one).remove(service)
          }
        })
      ))

    it.live("is Refused at once by a server that says so, which keeps no trace of that, and goes on", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          yield* listen(one, { maxPerDomain: 1 })
          yield* Effect.scoped(Effect.gen(function*() {
            const first = yield* dial(two)
            for (let times = 0; times < 3; times++) {
              const error = yield* Effect.flip(dial(two, { timeout: "1 hour" }))
              assert.strictEqual(error.reason._tag, "Refused")
              assert.include(error.message, "as many connections")
            }
            yield* until("one answer that is left", Effect.map(names(one, `/vchan/${client}`), ({ length }) => length === 1))
            assert.strictEqual((yield* names(one, `/req/${client}`)).length, 1)
            yield* talks(first)
          }))
          yield* until("no answer that is left", Effect.map(names(one, "/vchan"), (domids) => !domids.includes(String(client))))
          yield* talks(yield* dial(two))
        })
      ))

    it.live("asks no more than so often, and until its time is over, where all requests are removed", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          yield* deaf(one)
          let seen = 0
          yield* storeOf(one).watch(`${service}/req/${client}`).pipe(
            Stream.runForEach(() =>
              Effect.flatMap(names(one, `/req/${client}`), (ids) => {
                seen += ids.length
                return Effect.forEach(ids, (id) => Effect.ignore(storeOf(one).remove(`${service}/req/${client}/${id}`)))
              })
            ),
            Effect.forkScoped
          )
          assert.strictEqual(yield* reasonOf(Effect.scoped(dial(two, { timeout: "1 second" }))), "ServerAbsent")
          assert.isAbove(seen, 1)
          assert.isBelow(seen, 30)
        })
      ))
  })

  describe(`a listener that ends, on ${backend.name},`, () => {
    it.live("takes no new client while its last ones go on: those wait for the successor, or are told at once", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          const over = yield* Deferred.make<void>()
          const scope = yield* Scope.make()
          const stay = (vchan: Vchan) => Effect.uninterruptible(Effect.raceFirst(echo(vchan), Deferred.await(over)))
          yield* Scope.provide(listen(one, { handler: stay }), scope)
          const last = yield* dial(two)
          yield* talks(last)
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
          yield* until("a closed listener", Effect.map(names(one, ""), (there) => !there.includes("req")))
          const waiting = yield* Effect.forkChild(dial(two), { startImmediately: true })
          assert.strictEqual(yield* reasonOf(dial(two, { absent: "fail", timeout: "1 hour" })), "ServerAbsent")
          yield* talks(last)
          assert.isUndefined(waiting.pollUnsafe())
          yield* Deferred.succeed(over, undefined)
          yield* Fiber.join(closing)
          yield* listen(one)
          yield* talks(yield* Fiber.join(waiting))
        })
      ))

    it.live("and has been succeeded already closes nothing of its successor's", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          const scope = yield* Scope.make()
          yield* Scope.provide(listen(one), scope)
          yield* listen(one)
          yield* Scope.close(scope, Exit.void)
          yield* talks(yield* dial(two))
        })
      ))

    it.live("closes what its successor has just opened no longer than it takes to open it again", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          yield* listen(one)
          yield* storeOf(one).remove(`${service}/req`)
          yield* talks(yield* dial(two))
        })
      ))
  })
}
