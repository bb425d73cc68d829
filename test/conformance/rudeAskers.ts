/**
 * What a domain that a listener admits can do to the others that it admits, over any backend that has several domains: nothing that lasts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import {
  between,
  client,
  deaf,
  dial,
  echo,
  flapping,
  listen,
  names,
  other,
  requested,
  server,
  service,
  storeOf,
  talks,
  until
} from "./asking.ts"
import { type Backend, enter } from "./Backend.ts"

export const rudeAskers = (backend: Backend): void => {
  describe(`a domain that is admitted, on ${backend.name},`, () => {
    it.live("keeps nobody from asking by what it writes beside them", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          yield* listen(one)
          const key = `${service}/req/any/flap`
          yield* flapping(yield* enter(host, other), (store, times) => times % 2 === 0 ? store.write(key, "") : store.remove(key))
          for (let times = 0; times < 5; times++) yield* Effect.scoped(Effect.flatMap(dial(two), talks))
        })
      ))

    it.live("has its turn among others, however much it writes in a place of its own", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          yield* listen(one, { clients: [client, other] })
          const three = yield* enter(host, other)
          for (let lane = 0; lane < 32; lane++) {
            yield* flapping(three, (store, times) => store.write(`${service}/req/${other}/${lane}-${times % 16}`, ""))
          }
          for (let times = 0; times < 5; times++) yield* Effect.scoped(Effect.flatMap(dial(two), talks))
        })
      ))

    it.live("keeps no server from starting by what it writes to the former one's place", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two) {
          yield* deaf(one, String(client))
          const key = `${service}/req/${client}/flap`
          yield* flapping(two, (store, times) => times % 2 === 0 ? store.write(key, "") : store.remove(key))
          yield* listen(one, { clients: [client] })
          yield* talks(yield* dial(two))
        })
      ))

    it.live("keeps no other from asking again, after that one has removed its own place", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          const three = yield* enter(host, other)
          yield* listen(one, { clients: [client, other] })
          const key = `${service}/req/${other}/flap`
          yield* flapping(three, (store, times) => times % 2 === 0 ? store.write(key, "") : store.remove(key))
          for (let times = 0; times < 5; times++) {
            yield* storeOf(two).remove(`${service}/req/${client}`)
            yield* Effect.scoped(Effect.flatMap(dial(two), talks))
          }
        })
      ))

    it.live("keeps a client waiting no longer by removing the place where all ask than it goes on with that", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          const three = yield* enter(host, other)
          yield* deaf(one, "any")
          const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
          yield* requested(one, "any")
          yield* storeOf(three).remove(`${service}/req/any`)
          yield* listen(one)
          yield* talks(yield* Fiber.join(asking))
        })
      ))

    it.live("neither refuses in the server's name nor takes the place of another's request", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          const three = storeOf(yield* enter(host, other))
          yield* deaf(one, "any")
          const asking = yield* Effect.forkChild(dial(two), { startImmediately: true })
          yield* requested(one, "any")
          const [id = ""] = yield* names(one, "/req/any")
          yield* three.remove(`${service}/req/any`)
          yield* storeOf(one).makeDirectory(`${service}/req/any`)
          yield* storeOf(one).setPermissions(`${service}/req/any`, [{ domid: server, access: "b" }])
          // At once, for its owner would take it for its own, and remove it.
          yield* three.transaction((store) =>
            Effect.andThen(
              store.write(`${service}/req/any/${id}`, "1"),
              store.setPermissions(`${service}/req/any/${id}`, [{ domid: other, access: "r" }])
            )
          )
          assert.strictEqual((yield* Effect.flip(three.write(`${service}/vchan/${client}/${id}/refused`, "limit"))).code, "EACCES")
          // It has noticed: another request of its own is there.
          yield* until("another request", Effect.map(names(one, "/req/any"), ({ length }) => length === 2))
          yield* listen(one)
          yield* talks(yield* Fiber.join(asking))
        })
      ))

    it.live("has no part in the place of another, which is there whatever becomes of the place for all", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          const ends = yield* Queue.unbounded<string>()
          yield* listen(one, {
            handler: (vchan) =>
              Effect.flatMap(Effect.andThen(echo(vchan), vchan.ended), ({ reason }) => Effect.asVoid(Queue.offer(ends, reason._tag)))
          })
          const connection = yield* dial(two)
          const three = storeOf(yield* enter(host, other))
          yield* three.remove(`${service}/req/any`)
          const place = `${service}/req/${client}`
          const [id = ""] = yield* names(one, `/req/${client}`)
          for (
            const tried of [
              three.directory(place),
              three.remove(place),
              three.remove(`${place}/${id}`),
              three.write(`${place}/${id}`, ""),
              three.write(`${place}/other`, "")
            ]
          ) {
            assert.strictEqual((yield* Effect.flip(tried)).code, "EACCES")
          }
          yield* talks(connection)
          yield* host.destroy(client)
          assert.strictEqual(yield* Queue.take(ends), "DomainGone")
          yield* until("no place that is left", Effect.map(names(one, "/req"), (left) => left.join() === "any"))
        })
      ))

    it.live("keeps no place where it knocks and does not ask, and leaves at most as many refused requests as it may have connections", () =>
      between(
        backend,
        Effect.fnUntraced(function*(one, two, host) {
          yield* listen(one, { maxPerDomain: 2, connectTimeout: "100 millis" })
          const three = storeOf(yield* enter(host, other))
          const ask = (place: string, id: string) =>
            Effect.andThen(
              three.write(`${service}/req/${place}/${id}`, "1"),
              three.setPermissions(`${service}/req/${place}/${id}`, [{ domid: other, access: "n" }, { domid: server, access: "b" }])
            )
          yield* Effect.ignore(ask("any", "knock"))
          const places = (wanted: string) =>
            until(`only ${wanted}`, Effect.map(names(one, "/req"), (left) => left.toSorted().join() === wanted))
          yield* places(`${other},any`)
          yield* places("any")
          yield* Effect.ignore(ask("any", "knock"))
          yield* places(`${other},any`)
          for (let at = 0; at < 20; at++) yield* Effect.ignore(ask(String(other), `ask${at}`))
          yield* until("few requests", Effect.map(names(one, `/req/${other}`), ({ length }) => length <= 4))
          yield* until("few answers", Effect.map(names(one, `/vchan/${other}`), ({ length }) => length <= 4))
          for (const id of yield* names(one, `/req/${other}`)) yield* Effect.ignore(three.remove(`${service}/req/${other}/${id}`))
          yield* places("any")
          yield* until("no answers", Effect.map(names(one, "/vchan"), ({ length }) => length === 0))
          yield* talks(yield* dial(two))
        })
      ))
  })
}
