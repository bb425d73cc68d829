import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { decodeHello, type Hello } from "../src/Hello.ts"
import { limitsFrom } from "../src/Limits.ts"
import type { VchanRpcError } from "../src/RpcError.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pairOf } from "./support/pair.ts"
import { RawPeer, text, turns } from "./support/rawPeer.ts"

const Served = RpcGroup.make(
  Rpc.make("Same", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("More", { payload: { text: Schema.String, loud: Schema.optionalKey(Schema.Boolean) }, success: Schema.String }),
  Rpc.make("Other", { payload: { to: Schema.Int }, success: Schema.Struct({ list: Schema.Array(Schema.Int) }) }),
  Rpc.make("Items", { success: Schema.Struct({ n: Schema.Int, extra: Schema.String }), stream: true }),
  Rpc.make("OneOrMany", { success: Schema.Int, stream: true })
)

const Live = Served.toLayer({
  Same: ({ text }) => Effect.succeed(text),
  More: ({ loud, text }) => Effect.succeed(loud === true ? text.toUpperCase() : text),
  Other: ({ to }) => Effect.succeed({ list: [to] }),
  Items: () => Stream.make({ n: 1, extra: "" }, { n: 2, extra: "" }),
  OneOrMany: () => Stream.make(1)
})

/** Another version of the group. */
const Called = RpcGroup.make(
  Rpc.make("Same", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("More", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Other", { payload: { to: Schema.Int }, success: Schema.Struct({ list: Schema.Array(Schema.String) }) }),
  Rpc.make("Items", { success: Schema.Struct({ n: Schema.Number }), stream: true }),
  Rpc.make("OneOrMany", { success: Schema.Int }),
  Rpc.make("Gone", { payload: { text: Schema.String } })
)

const reasonOf = (error: VchanRpcError) => error.reason

const served = Effect.gen(function*() {
  const { client, server } = memoryVchans()
  const handler = yield* serveGroup(Served, { service: "test" })
  yield* Effect.forkScoped(handler(server))
  return new RawPeer(client)
})

/** What a server says to the Hello of a client that tells these methods. */
const helloFor = (methods: Hello["methods"], describe?: boolean) =>
  Effect.gen(function*() {
    const peer = yield* served
    peer.hello({ methods, describe })
    const { body } = yield* peer.typed(FrameType.Hello)
    return { hello: Result.getOrThrow(decodeHello(body)), json: text(body.subarray(10)) }
  })

describe("Versions", () => {
  it.live("methods with additions work, beside others that do not fit", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(Served, Called)
      assert.strictEqual(yield* client.Same({ text: "a" }), "a")
      assert.strictEqual(yield* client.More({ text: "a" }), "a")
      assert.deepStrictEqual(yield* Stream.runCollect(client.Items()), [{ n: 1 }, { n: 2 }])
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a call of a method that does not fit fails with the field and both kinds, and is not sent", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods: methodsOf(Served) })
      const { client } = yield* clientOver(Called, end, { service: "test", helloTimeout: 2000 })
      const error = yield* Effect.flip(client.Other({ to: 1 }))
      assert.deepInclude(error.reason, { _tag: "IncompatibleSchema", path: "success.list[]", client: "string", server: "integer" })
      assert.strictEqual(error.method, "Other")
      assert.include(error.message, "test.Other")
      const many = yield* Effect.flip(client.OneOrMany())
      assert.deepInclude(many.reason, { _tag: "IncompatibleSchema", path: "success", client: "one value", server: "a stream" })
      const gone = yield* Effect.flip(client.Gone({ text: "a" }))
      assert.strictEqual(gone.reason._tag, "UnknownMethod")
      yield* turns(3)
      assert.deepStrictEqual(peer.frames.map(({ type }) => type), [FrameType.Hello])
    }).pipe(Effect.scoped))

  it.live("a strict client is not made where a method does not fit", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(pairOf(Served, Called, { client: { strict: true } }))
      assert.deepInclude(error.reason, { _tag: "IncompatibleSchema", path: "success.list[]" })
      const { client } = yield* pairOf(Served, Served, { client: { strict: true } })
      assert.strictEqual(yield* client.Same({ text: "a" }), "a")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a server that tells no shapes is called in JSON, and each value is checked", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ service: "test", methods: methodsOf(Called).map(({ name }) => ({ name, fingerprint: "" })), limits: limitsFrom({}) })
      const { client } = yield* clientOver(Called, end, { service: "test", helloTimeout: 2000 })
      const call = yield* Effect.forkChild(Effect.flip(client.Other({ to: 1 })))
      const { body, id } = yield* peer.typed(FrameType.Request, 1)
      assert.strictEqual(text(body), "{\"to\":1}")
      peer.send(FrameType.Success, 2, id, new TextEncoder().encode("{\"list\":[1]}"))
      assert.strictEqual(reasonOf(yield* Fiber.join(call))._tag, "BadReply")
    }).pipe(Effect.scoped))

  it.live("shapes are told of methods that differ, of all to who asks, and of none where all is equal", () =>
    Effect.gen(function*() {
      const equal = yield* helloFor(methodsOf(Served).map(({ fingerprint, name }) => ({ name, fingerprint })))
      assert.notInclude(equal.json, "shapes")
      const one = yield* helloFor([{ name: "Other", fingerprint: "" }, { name: "Gone", fingerprint: "" }])
      assert.deepStrictEqual(one.hello.methods.filter(({ shapes }) => shapes !== undefined).map(({ name }) => name), ["Other"])
      const all = yield* helloFor([], true)
      assert.deepStrictEqual(all.hello.methods.map(({ shapes }) => shapes), methodsOf(Served).map(({ shapes }) => shapes))
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("shapes that make no sense refuse the connection", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      const shapes = { stream: false, payload: { up: 1 }, success: "null", error: "null" } as const
      peer.hello({ service: "test", methods: [{ name: "Same", fingerprint: "", shapes }], limits: limitsFrom({}) })
      const error = yield* Effect.flip(clientOver(Called, end, { service: "test", helloTimeout: 2000 }))
      assert.strictEqual(error.reason._tag, "HandshakeRefused")
      assert.include(error.message, "not there")
    }).pipe(Effect.scoped))

  it.live("what finds no room in a Hello is not told, and the Hello is taken", () =>
    Effect.gen(function*() {
      const wide = (index: number) =>
        Rpc.make(`Wide${index}`, {
          payload: Object.fromEntries(Array.from({ length: 1000 }, (_, field) => [`${"field".repeat(5)}${field}`, Schema.String]))
        })
      const Wide = RpcGroup.make(...Array.from({ length: 8 }, (_, index) => wide(index)))
      const handlers = Wide.toLayer(Object.fromEntries(Array.from(Wide.requests.keys(), (name) => [name, () => Effect.void])))
      const { client, server } = memoryVchans()
      const handler = yield* Effect.provide(serveGroup(Wide, { service: "test" }), handlers)
      yield* Effect.forkScoped(handler(server))
      const peer = new RawPeer(client)
      peer.hello({ methods: [], describe: true })
      const { body } = yield* peer.typed(FrameType.Hello)
      const { methods } = Result.getOrThrow(decodeHello(body))
      const told = methods.filter(({ shapes }) => shapes !== undefined).length
      assert.isTrue(told > 0 && told < 8)
      assert.strictEqual(methods.length, 8)
    }).pipe(Effect.scoped))
})

describe("Two versions of a service", () => {
  const V1 = RpcGroup.make(
    Rpc.make("Get", { payload: { id: Schema.Int }, success: Schema.Struct({ id: Schema.Int }) }),
    Rpc.make("Same", { success: Schema.Int }),
    Rpc.make("Gone")
  )
  const V2 = RpcGroup.make(
    Rpc.make("Get", {
      payload: { id: Schema.Int, deep: Schema.optionalKey(Schema.Boolean) },
      success: Schema.Struct({ id: Schema.Int, more: Schema.optionalKey(Schema.String) })
    }),
    Rpc.make("Same", { success: Schema.Int })
  )
  const V3 = RpcGroup.make(
    Rpc.make("Get", { payload: { id: Schema.Number }, success: Schema.Struct({ id: Schema.Int }) }),
    Rpc.make("Same", { success: Schema.Literal(4) })
  )
  const V2Live = V2.toLayer({ Get: ({ id }) => Effect.succeed({ id, more: "yes" }), Same: () => Effect.succeed(3) })

  it.live("fields that may be left out do not keep them from talking", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(V2, V1)
      assert.deepStrictEqual(yield* client.Get({ id: 5 }), { id: 5 })
      assert.strictEqual(yield* client.Same(), 3)
    }).pipe(Effect.provide(V2Live)))

  it.live("a method the server does not have fails, naming it", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(V2, V1)
      const error = yield* Effect.flip(client.Gone())
      assert.strictEqual(reasonOf(error)._tag, "UnknownMethod")
      assert.include(error.message, "test.Gone")
    }).pipe(Effect.provide(V2Live)))

  it.live("a value that the server's version does not take is BadPayload, naming the field; a reply that cannot be read is BadReply", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(V2, V3)
      const payload = yield* Effect.flip(client.Get({ id: 0.5 }))
      assert.strictEqual(reasonOf(payload)._tag, "BadPayload")
      assert.include(payload.message, "test.Get")
      assert.include(payload.message, "\"id\"")
      assert.strictEqual(reasonOf(yield* Effect.flip(client.Same()))._tag, "BadReply")
    }).pipe(Effect.provide(V2Live)))
})

describe("A method of values within each other that are not told apart", () => {
  type Term = number | { readonly op: string; readonly of: Term; readonly n?: number }
  const Term: Schema.Codec<Term> = Schema.Union([
    Schema.Int,
    Schema.Struct({ op: Schema.String, of: Schema.suspend(() => Term), n: Schema.Int }),
    Schema.Struct({ op: Schema.String, of: Schema.suspend(() => Term) })
  ])
  const V1 = RpcGroup.make(Rpc.make("Count", { payload: { term: Term }, success: Schema.Int }), Rpc.make("Ping"))
  const V2 = RpcGroup.make(
    Rpc.make("Count", { payload: { term: Term, limit: Schema.optionalKey(Schema.Int) }, success: Schema.Int }),
    Rpc.make("Ping")
  )
  const Plain = RpcGroup.make(Rpc.make("Count", { payload: { term: Schema.Int }, success: Schema.Int }))
  const count = (term: Term): number => (typeof term === "number" ? term : 1 + count(term.of))
  const V1Live = V1.toLayer({ Count: ({ term }) => Effect.sync(() => count(term)), Ping: () => Effect.void })
  const term: Term = { op: "a", of: { op: "b", of: 5, n: 1 } }

  it.live("is called where both sides have the same version", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(V1, V1, { client: { strict: true } })
      assert.strictEqual(yield* client.Count({ term }), 7)
    }).pipe(Effect.scoped, Effect.provide(V1Live)))

  it.live("fails with IncompatibleSchema where the client has another version, or one without such values, and the others work", () =>
    Effect.gen(function*() {
      const { client } = yield* pairOf(V1, V2)
      const error = yield* Effect.flip(client.Count({ term }))
      assert.deepInclude(error.reason, { _tag: "IncompatibleSchema", path: "payload", server: "of another version" })
      assert.include(error.message, "payload is a union of values within each other that are not told apart here")
      yield* client.Ping()
      const plain = yield* pairOf(V1, Plain)
      const other = yield* Effect.flip(plain.client.Count({ term: 5 }))
      assert.deepInclude(other.reason, { _tag: "IncompatibleSchema", path: "payload", client: "of another version" })
    }).pipe(Effect.scoped, Effect.provide(V1Live)))

  it.live("is not read from a client that only says that it has another version", () =>
    Effect.gen(function*() {
      const { client, server } = memoryVchans()
      const handler = yield* serveGroup(V1, { service: "test" })
      yield* Effect.forkScoped(handler(server))
      const peer = new RawPeer(client)
      peer.hello({ methods: [{ name: "Count", fingerprint: "" }, { name: "Ping", fingerprint: "" }] })
      // It would be tried in 2^200 ways.
      let json = "\"\""
      for (let depth = 0; depth < 200; depth++) json = `{"op":"","of":${json}}`
      peer.send(FrameType.Request, 0, 1, new TextEncoder().encode(`{"term":${json}}`))
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "UnknownMethod")
      peer.send(FrameType.Request, 1, 2, new TextEncoder().encode("null"))
      yield* peer.typed(FrameType.Success, 2)
    }).pipe(Effect.scoped, Effect.provide(V1Live)))
})
