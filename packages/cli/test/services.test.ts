import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe, expect, it } from "@effect/vitest"
import { XenStore } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Context, Effect, Layer } from "effect"
import { testHost } from "../../xen-linux/test/testHost.ts"
import { run } from "./command.ts"
import { serveTried } from "./service.ts"

const bounded = Effect.timeout("100 seconds")

describe("vchan services", () => {
  it.live("lists what a domain serves, with methods and schemas, and what does not answer", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* serveTried(directory)
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 5 })), XenStore)
      yield* store.makeDirectory("data/rpc-for/any/ghost")
      const { code, stderr, stdout } = yield* run(directory, ["services", "5", "--timeout", "2 seconds"])
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(stdout).toMatch(/^ghost does not answer: could not connect: .*\n/)
      expect(stdout.slice(stdout.indexOf("\n") + 1)).toBe(`tried
  Get({ key: string, version?: integer }): string, or fails with { _tag: "Missing", key: string }
  Who(): integer
  Header({ name: string }): string | null
  Reverse({ bytes: bytes }): bytes
  Count({ to: integer }): a stream of integer, or fails with { _tag: "Missing", key: string }
  Ticks(): a stream of integer
  Sum(a stream of integer): integer
  Scale({ by: integer, stream?: boolean } and a stream of integer): a stream of integer
  Hang(): null
  Die(): null
`)
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("prints JSON where it is asked to", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* serveTried(directory)
      const { code, stdout } = yield* run(directory, ["services", "5", "--json"])
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject([{
        service: "tried",
        methods: expect.arrayContaining([
          expect.objectContaining({ name: "Get", stream: false, success: "string" }),
          expect.objectContaining({ name: "Sum", payload: "null", success: "integer", upload: { item: "integer", error: { union: [] } } })
        ])
      }])
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))

  it.live("says so where there are none", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const stderr = "domain 5 announces no service to this domain, 7\n"
      expect(yield* run(directory, ["services", "5", "--domid", "7"])).toEqual({ code: 0, stdout: "", stderr })
      expect(yield* run(directory, ["services", "5", "--json"])).toEqual({ code: 0, stdout: "[]\n", stderr: "" })
    }).pipe(Effect.scoped, bounded, Effect.provide(NodeServices.layer)))
})
