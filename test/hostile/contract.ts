/**
 * A service with a method of every kind, for a hostile peer to call or to serve, and its honest handlers. Belongs to nobody: what runs is counted
 * by what is given in.
 */
import { Effect, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { methodsOf } from "../../packages/rpc/src/Contract.ts"

interface Tree {
  readonly branches: ReadonlyArray<Tree>
}
const Tree: Schema.Codec<Tree> = Schema.Struct({ branches: Schema.Array(Schema.suspend(() => Tree)) })

export const Fuzzed = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Wait"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Long", { payload: { length: Schema.Int }, success: Schema.String }),
  Rpc.make("Upload", { payload: { data: Schema.Uint8Array }, success: Schema.Int }),
  Rpc.make("Fail", { payload: { code: Schema.Int }, error: Schema.Struct({ code: Schema.Int }) }),
  Rpc.make("Climb", { payload: { tree: Tree }, success: Tree }),
  Rpc.make("Any", { payload: { value: Schema.Json, record: Schema.Record(Schema.String, Schema.Json) }, success: Schema.Json }),
  Rpc.make("Nothings", { payload: { count: Schema.Int }, success: Schema.Void, stream: true }),
  Rpc.make("Store", { payload: { name: Schema.String, data: RpcSchema.Stream(Schema.Uint8Array, Schema.Never) }, success: Schema.Int }),
  Rpc.make("Hold", { payload: { value: Schema.Json } }),
  Rpc.make("Double", { payload: RpcSchema.Stream(Schema.Int, Schema.String), success: Schema.Int, error: Schema.String, stream: true })
)

export const methods = methodsOf(Fuzzed)

/** The service's name, and where it listens. */
export const service = "fuzzed"
export const servicePath = `data/rpc/${service}`

/** A value for each method's payload, and for what it gives; of a stream, some items; and of its upload, if it takes one. */
const samples: Record<string, { readonly payload: unknown; readonly success: unknown; readonly items?: unknown }> = {
  Say: { payload: { text: "hi" }, success: "hi" },
  Wait: { payload: undefined, success: undefined },
  Count: { payload: { to: 5000 }, success: [1, 2, 3] },
  Long: { payload: { length: 90_000 }, success: "x".repeat(20_000) },
  Upload: { payload: { data: new Uint8Array(300) }, success: 300 },
  Fail: { payload: { code: 7 }, success: undefined },
  Climb: { payload: { tree: { branches: [{ branches: [] }] } }, success: { branches: [] } },
  Any: { payload: { value: [1, "2", null], record: { a: {} } }, success: { a: [] } },
  Nothings: { payload: { count: 3000 }, success: [undefined, undefined] },
  Store: { payload: { name: "n" }, success: 3, items: [new Uint8Array(2000), new Uint8Array(0)] },
  Hold: { payload: { value: [[], {}, "a"] }, success: undefined },
  Double: { payload: undefined, success: [2, 4], items: [1, 2] }
}

const encoded = (name: string, which: "payload" | "success", codec: "binary" | "json"): Uint8Array => {
  const method = methods.find((method) => method.name === name)
  return Result.getOrThrow(method?.[codec][which].encode(samples[name]?.[which]) ?? Result.fail("no such method")).slice()
}

/** The items of a method's upload; those of what it gives where it takes none. */
const itemsOf = (name: string, codec: "binary" | "json"): Uint8Array => {
  const upload = methods.find((method) => method.name === name)?.[codec].upload
  return upload === undefined ? encoded(name, "success", codec) : Result.getOrThrow(upload.items.encode(samples[name]?.items)).slice()
}

/** Bodies that are right for a method: by its place in the group, in both codecs. */
export const bodies = methods.map(({ name }) => ({
  payload: { binary: encoded(name, "payload", "binary"), json: encoded(name, "payload", "json") },
  success: { binary: encoded(name, "success", "binary"), json: encoded(name, "success", "json") },
  items: { binary: itemsOf(name, "binary"), json: itemsOf(name, "json") }
}))

/** The handlers; `running` counts what runs. */
export const handlers = (running: { count: number; most: number }) => {
  const count = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        running.count++
        running.most = Math.max(running.most, running.count)
      }),
      () => effect,
      () => Effect.sync(() => void running.count--)
    )
  return Fuzzed.toLayer({
    Say: ({ text }) => count(Effect.succeed(text)),
    Wait: () => count(Effect.never),
    Count: ({ to }) => Stream.range(1, Math.min(to, 100_000)),
    Long: ({ length }) => count(Effect.succeed("x".repeat(Math.max(0, Math.min(length, 200_000))))),
    Upload: ({ data }) => count(Effect.as(Effect.yieldNow, data.length)),
    Fail: ({ code }) => count(Effect.fail({ code })),
    Climb: ({ tree }) => count(Effect.succeed(tree)),
    Any: ({ record, value }) => {
      // What comes in must bring no prototype of its own.
      const isPlain = [null, Object.prototype].includes(Object.getPrototypeOf(record))
      return count(isPlain ? Effect.succeed(value) : Effect.die(new Error("a record came with a prototype")))
    },
    Nothings: ({ count: many }) => Stream.map(Stream.range(1, Math.min(many, 100_000)), () => undefined),
    Store: ({ data }) => count(Stream.runFold(data, () => 0, (length, bytes) => length + bytes.length)),
    Hold: ({ value }) => count(Effect.andThen(Effect.never, Effect.sync(() => void value))),
    Double: (numbers) => Stream.map(numbers, (number) => number * 2)
  })
}
