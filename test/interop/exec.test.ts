import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../packages/cli/test/command.ts"
import { temporaryDirectory, testHost } from "../../packages/xen-linux/test/testHost.ts"
import { describeDebian } from "./debian.ts"

describeDebian("vchan host exec", (debian) => {
  it.live("runs C programs as domains: one serves, another calls, and vchan echo answers both kinds", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const env = { XDG_CACHE_HOME: yield* temporaryDirectory, LD_LIBRARY_PATH: debian.libraries }
      const peer = (domid: number, ...words: ReadonlyArray<string>) =>
        start(directory, ["host", "exec", "--domid", String(domid), "--", debian.peer, ...words], undefined, env)
      const path = "/local/domain/5/data/exec"
      const server = yield* peer(5, "server", "7", path, "4096", "4096", "serve", "6400")
      yield* server.printed("up")
      const client = yield* peer(7, "client", "5", path, "0", "0", "ping", "100")
      expect(yield* client.outcome).toMatchObject({ code: 0, stdout: expect.stringMatching(/^connected\nmedian \d+\.\d\n$/), stderr: "" })
      expect(yield* server.outcome).toMatchObject({ code: 0, stdout: "up\nconnected\n" })

      const echo = yield* start(directory, ["echo", "--domid", "5", "--peer", "7"])
      yield* echo.printed("domain 5 answers domain 7")
      const caller = yield* peer(7, "client", "5", "/local/domain/5/data/vchan", "0", "0", "ping", "100")
      expect((yield* caller.outcome).code).toBe(0)
      yield* echo.printed("domain 7 left")
    }).pipe(Effect.scoped, Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer)))
})
