import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { Handshake } from "@vchan/vchan"
import { EmulatedXen } from "@vchan/xen-linux"
import { Deferred, Effect } from "effect"
import { testHost } from "../../xen-linux/test/testHost.ts"
import { bytes, bytesUntil, run, start } from "./command.ts"

const bounded = Effect.timeout("100 seconds")

const path = "/local/domain/5/data/pipe"
const server = ["node", "server", "7", path, "--domid", "5"]
const client = ["node", "client", "5", path, "--domid", "7"]

/** Longer than both rings together. */
const long = Array.from({ length: 100_000 }, (_, index) => `line ${index}\n`).join("")

describe("vchan node", () => {
  it.live("sends all of standard input, to a server that has none", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const receiver = yield* start(directory, server)
      expect(yield* run(directory, client, bytes(long))).toEqual({ code: 0, stdout: "", stderr: "" })
      const { code, stderr, stdout } = yield* receiver.outcome
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(stdout === long).toBe(true)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("sends all of standard input, to a client that has none", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const receiver = yield* start(directory, client)
      expect(yield* run(directory, server, bytes(long))).toEqual({ code: 0, stdout: "", stderr: "" })
      const { code, stdout } = yield* receiver.outcome
      expect(code).toBe(0)
      expect(stdout === long).toBe(true)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("carries both directions at once, and ends when one side does", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const end = yield* Deferred.make<void>()
      const one = yield* start(directory, server, bytesUntil("from the server", yield* Deferred.make<void>()))
      const other = yield* start(directory, client, bytesUntil("from the client", end))
      yield* one.printed("from the client")
      yield* other.printed("from the server")
      yield* Deferred.succeed(end, undefined)
      expect(yield* other.outcome).toEqual({ code: 0, stdout: "from the server", stderr: "" })
      expect(yield* one.outcome).toEqual({ code: 0, stdout: "from the client", stderr: "" })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("fails in one line where the peer leaves with standard input untaken", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const sender = yield* start(directory, client, bytes(long))
      yield* Handshake.server({ domid: 7, path }).pipe(
        Effect.flatMap((server) => server.accept),
        // Never reads: the ring is full, and the rest waits.
        Effect.andThen((vchan) => Effect.repeat(Effect.sleep("10 millis"), { until: () => vchan.availableUnsafe() === vchan.readRing })),
        Effect.scoped,
        Effect.provide(EmulatedXen.layer({ directory, domid: 5 }))
      )
      const { code, stderr } = yield* sender.outcome
      expect({ code, stderr }).toEqual({ code: 1, stderr: "vchan: domain 5 closed before it was seen to take all of standard input\n" })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("fails in one line where no server comes", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const { code, stderr } = yield* run(directory, client)
      expect(code).toBe(1)
      expect(stderr).toMatch(/^vchan: .*domain 5 at .*no server there after 5000 ms.*\n$/)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))
})
