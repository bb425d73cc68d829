import { assert, describe, it } from "@effect/vitest"
import { MemoryXen } from "@vchan/xen"
import { Effect, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Reflection, VchanRpcClient, VchanRpcServer } from "../src/index.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}

const Store = RpcGroup.make(
  Rpc.make("Get", { payload: { key: Schema.String }, success: Schema.Uint8Array, error: Missing }),
  Rpc.make("Watch", { payload: { keys: Schema.Array(Schema.String) }, success: Schema.Date, stream: true })
)

const Handlers = Store.toLayer({
  Get: ({ key }) => (key === "a" ? Effect.succeed(Uint8Array.from([1, 2, 3])) : Effect.fail(new Missing({ key }))),
  Watch: ({ keys }) => Stream.fromIterable(keys.map((_, index) => new Date(index)))
})

const server = VchanRpcServer.layer(Store, { service: "store", clients: "any" }).pipe(
  Layer.provide(Handlers),
  Layer.provide(Logger.layer([]))
)

/** Runs in domain 3, while domain 5 serves the store. */
const beside = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const host = yield* MemoryXen.make()
    yield* Effect.forkScoped(Layer.launch(Layer.provide(server, host.domain(5))))
    return yield* Effect.provide(effect, host.domain(3))
  }).pipe(Effect.scoped)

const target = { domain: 5, service: "store" }

describe("Reflection", () => {
  it.live("a server tells its methods and their shapes", () =>
    beside(Effect.gen(function*() {
      assert.deepStrictEqual(yield* Reflection.describe(target), [
        {
          name: "Get",
          shapes: {
            stream: false,
            payload: { fields: [{ name: "key", type: "string" }] },
            success: "bytes",
            error: { fields: [{ name: "_tag", type: { literal: "Missing" } }, { name: "key", type: "string" }] }
          }
        },
        {
          name: "Watch",
          shapes: {
            stream: true,
            payload: { fields: [{ name: "keys", type: { array: "string" } }] },
            success: "string",
            error: { union: [] }
          }
        }
      ])
    })))

  it.live("its methods are called without their code, by JSON", () =>
    beside(Effect.gen(function*() {
      const { streams, unary } = Reflection.groupsOf(yield* Reflection.describe(target))
      const client = yield* VchanRpcClient.make(unary, { ...target, strict: true })
      const rpc = unary.requests.get("Get")
      const get = client["Get"]
      assert.isDefined(rpc)
      assert.isDefined(get)
      const payload = Schema.decodeUnknownSync(Schema.toCodecJson(rpc.payloadSchema))({ key: "a" })
      assert.strictEqual(Schema.encodeUnknownSync(Schema.toCodecJson(rpc.successSchema))(yield* get(payload)), "AQID")
      assert.deepStrictEqual(yield* Effect.flip(get({ key: "b" })), { _tag: "Missing", key: "b" })
      const watching = yield* VchanRpcClient.make(streams, { ...target, strict: true })
      const watch = watching["Watch"]
      assert.isDefined(watch)
      assert.deepStrictEqual(yield* Stream.runCollect(watch({ keys: ["a", "b"] })), [
        new Date(0).toISOString(),
        new Date(1).toISOString()
      ])
    })))

  it("a payload that carries a stream is told apart from the rest of it, whatever that is called", () => {
    const shapes = {
      stream: false,
      payload: { fields: [{ name: "stream", type: "string" }] },
      success: "integer",
      error: { union: [] },
      upload: { item: "integer", error: { union: [] } }
    } as const
    const { unary } = Reflection.groupsOf([{ name: "Sum", shapes }, { name: "All", shapes: { ...shapes, payload: "null" } }])
    const joined = (name: string, rest: unknown) => {
      const upload = Reflection.uploadingOf(unary.requests.get(name)?.payloadSchema ?? Schema.Unknown)
      assert.isDefined(upload)
      assert.isTrue(Schema.is(upload.item)(1))
      return Result.map(upload.join(rest, Stream.make(1)), (payload) => upload.split(payload).rest)
    }
    assert.deepStrictEqual(joined("Sum", { stream: "a" }), Result.succeed({ stream: "a" }))
    assert.isTrue(Result.isSuccess(joined("All", null)))
    assert.isUndefined(Reflection.uploadingOf(Schema.String))
  })

  it("a method of values that can be read in too many ways is left out, and hides no other", () => {
    const many = { union: ["null", { array: { up: 2 } }, { array: { up: 2 } }] } as const
    const shapes = { stream: false, payload: "null", success: "null", error: { union: [] } } as const
    const { unary } = Reflection.groupsOf([
      { name: "Many", shapes: { ...shapes, success: many } },
      { name: "__proto__", shapes: { ...shapes, payload: { fields: [{ name: "__proto__", type: "string" }] } } },
      { name: "One", shapes }
    ])
    assert.deepStrictEqual([...unary.requests.keys()], ["__proto__", "One"])
    const payload = unary.requests.get("__proto__")?.payloadSchema ?? Schema.Never
    const read = Schema.decodeUnknownSync(Schema.toCodecJson(payload))(JSON.parse(`{"__proto__":"mine"}`))
    assert.isTrue(Object.hasOwn(Object(read), "__proto__"))
    assert.strictEqual(Object.getPrototypeOf(read), Object.prototype)
  })

  it.live("a domain that serves nothing is told as such", () =>
    beside(Effect.gen(function*() {
      const error = yield* Effect.flip(Reflection.describe({ ...target, service: "other", timeout: "50 millis" }))
      assert.strictEqual(error.reason._tag, "ConnectFailed")
    })))
})
