import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Handshake } from "@vchan/vchan"
import { GrantTable, XenStore } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Exit, Scope } from "effect"
import { testHost } from "../../xen-linux/test/testHost.ts"
import { run, start } from "./command.ts"

const bounded = Effect.timeout("100 seconds")

/** As `domid`, sends a text to the echo server of a domain and gives back what comes, with the rings' sizes. */
const say = (directory: string, domid: number, text: string, path = "/local/domain/5/data/vchan", server = 5) =>
  Effect.gen(function*() {
    const vchan = yield* Handshake.client({ domid: server, path, timeout: "10 seconds" })
    const bytes = new TextEncoder().encode(text)
    // At the same time as the reading: the rings may be smaller than the text.
    yield* Effect.forkScoped(vchan.write(bytes))
    const answer = new Uint8Array(bytes.length)
    for (let read = 0; read < answer.length;) read += yield* vchan.readInto(answer.subarray(read))
    return { answer: new TextDecoder().decode(answer), read: vchan.readRing, written: vchan.writeRing }
  }).pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ directory, domid })))

describe("vchan echo", () => {
  it.live("answers one client after the other at the domain's data/vchan, and tells of each", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const echo = yield* start(directory, ["echo", "--domid", "5"])
      yield* echo.printed("domain 5 answers domain 0 at /local/domain/5/data/vchan")
      expect((yield* say(directory, 0, "one")).answer).toBe("one")
      yield* echo.printed("domain 0 left")
      expect((yield* say(directory, 0, "two")).answer).toBe("two")
      yield* echo.printed("domain 0 left\ndomain 0 came\ndomain 0 left")
      yield* echo.signal("SIGTERM")
      expect((yield* echo.outcome).code).toBe(0)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("answers a domain that comes, goes and comes again, though domain 0 is told of each end", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const echo = yield* start(directory, ["echo", "--domid", "0", "--peer", "7"])
      const path = "/local/domain/0/data/vchan"
      expect((yield* say(directory, 7, "one", path, 0)).answer).toBe("one")
      // Before that the domain would come to the rings that the server gives up: nothing tells a client that they were its predecessor's.
      yield* echo.printed(`the peer's domain is gone\ndomain 0 answers domain 7 at ${path}`)
      expect((yield* say(directory, 7, "two", path, 0)).answer).toBe("two")
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("ends with its first client where --once is given", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const echo = yield* start(directory, ["echo", "--domid", "5", "--once"])
      expect((yield* say(directory, 0, "only")).answer).toBe("only")
      expect(yield* echo.outcome).toMatchObject({ code: 0, stdout: "" })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("serves the peer it was told, at the path and with the rings it was told", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* start(directory, [
        "echo",
        "--domid",
        "5",
        "--peer",
        "9",
        "--path",
        "/local/domain/5/data/e",
        "--left",
        "4096",
        "--right",
        "8192"
      ])
      const { answer, read, written } = yield* say(directory, 9, "x".repeat(100_000), "/local/domain/5/data/e")
      expect(answer === "x".repeat(100_000)).toBe(true)
      expect({ read, written }).toEqual({ read: 8192, written: 4096 })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("outlives a client that breaks the rules, and tells of it", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const path = "/local/domain/5/data/vchan"
      const echo = yield* start(directory, ["echo", "--domid", "5"])
      yield* Effect.gen(function*() {
        const vchan = yield* Handshake.client({ domid: 5, path, timeout: "10 seconds" })
        const reference = Number(yield* (yield* XenStore).read(`${path}/ring-ref`))
        const { buffer } = yield* (yield* GrantTable).map({ domid: 5, references: [reference], writable: true })
        const indexes = new Uint32Array(buffer, 0, 4)
        // right.cons, which says how much the client has read: more than was ever written.
        indexes[2] = (indexes[3] ?? 0) + 0x10000000
        yield* vchan.write(new Uint8Array(1))
        yield* echo.printed("broke the ring's rules")
      }).pipe(Effect.scoped, Effect.provide(EmulatedXen.layer({ directory, domid: 0 })))
      expect((yield* say(directory, 0, "next")).answer).toBe("next")
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("refuses rings over 1 MiB in one line", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { code, stderr } = yield* run(directory, ["echo", "--left", "1048577"])
      expect(code).toBe(1)
      expect(stderr).toMatch(/^vchan: .*1048577.*\n$/)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("fails in one line when the host goes away", () =>
    Effect.gen(function*() {
      const host = yield* Scope.make()
      const { directory } = yield* Scope.provide(testHost(), host)
      const echo = yield* start(directory, ["echo"])
      yield* echo.printed("answers")
      yield* Scope.close(host, Exit.void)
      const { code, stderr } = yield* echo.outcome
      expect(code).toBe(1)
      expect(stderr).toMatch(/\nvchan: .*the host at .* is gone.*\n$/)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))
})
