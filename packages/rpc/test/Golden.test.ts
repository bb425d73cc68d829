import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import * as fs from "node:fs"
import { clientOver } from "../src/clientOver.ts"
import { binary, fingerprintOf } from "../src/Codec.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType, maxBody } from "../src/Frame.ts"
import { Deadline } from "../src/index.ts"
import { limitsFrom } from "../src/Limits.ts"
import { readMethodShapes } from "../src/MethodShapes.ts"
import { serveGroup } from "../src/serveGroup.ts"
import { readShape, schemaOf } from "../src/Shape.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { type Frame, RawPeer, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String, error: Schema.Struct({ code: Schema.Int }) }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait"),
  Rpc.make("Sum", {
    payload: { numbers: RpcSchema.Stream(Schema.Int, Schema.Struct({ code: Schema.Int })) },
    success: Schema.Int
  })
)
/** As a peer tells them that knows no binary codec. */
const plain = methodsOf(Group).map(({ name }) => ({ name, fingerprint: "" }))

const Live = Group.toLayer({
  Say: ({ text }) => {
    if (text === "long") return Effect.succeed("x".repeat(maxBody))
    return text === "die" ? Effect.die(new Error("dead")) : text === "fail" ? Effect.fail({ code: 7 }) : Effect.succeed(text)
  },
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => Effect.never,
  Sum: ({ numbers }) =>
    Stream.takeWhile(numbers, (number) => number >= 0).pipe(
      Stream.runFold(() => 0, (sum, number) => sum + number),
      Effect.catch(({ code }) => Effect.succeed(code))
    )
}).pipe(Layer.provideMerge(Logger.layer([])))

/** The vectors of the page, by their names. */
const documented = new Map(
  [...fs.readFileSync(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8").matchAll(/^\| `([\w -]+)` \| `([0-9a-f ]+)` \|/gm)]
    .map(([, name = "", hex = ""]) => [name, hex.replaceAll(" ", "")])
)

const hexOf = ({ body, flags, id, method, type }: Frame): string => {
  const bytes = Buffer.alloc(12 + body.length)
  bytes.writeUInt32LE(8 + body.length, 0)
  bytes.writeUInt8(type, 4)
  bytes.writeUInt8(flags, 5)
  bytes.writeUInt16LE(method, 6)
  bytes.writeUInt32LE(id, 8)
  bytes.set(body, 12)
  return bytes.toString("hex")
}

/** Sends the bytes of the page. */
const send = (peer: RawPeer, name: string) => {
  assert.isTrue(documented.has(name), `docs/PROTOCOL.md has ${name}`)
  peer.bytes(Buffer.from(documented.get(name) ?? "", "hex"))
}

const is = (name: string, frame: Frame, upTo?: number) => assert.strictEqual(hexOf(frame).slice(0, upTo), documented.get(name), name)

describe("docs/PROTOCOL.md's vectors", () => {
  it.live("are what a server takes and answers", () =>
    Effect.gen(function*() {
      const { client, server } = memoryVchans()
      const handler = yield* serveGroup(Group, { service: "echo" })
      const serving = yield* Effect.forkScoped(handler(server))
      const peer = new RawPeer(client)
      send(peer, "client Hello")
      yield* peer.typed(FrameType.Hello)
      send(peer, "request")
      is("success", yield* peer.typed(FrameType.Success, 1))
      send(peer, "request with deadline")
      yield* peer.typed(FrameType.Success, 2)
      send(peer, "request with everything")
      yield* peer.typed(FrameType.End, 3)
      send(peer, "failing request")
      is("failure", yield* peer.typed(FrameType.Failure, 4))
      send(peer, "dying request")
      is("defect", yield* peer.typed(FrameType.Defect, 5))
      send(peer, "unknown request")
      is("refusal", yield* peer.typed(FrameType.Refusal, 6))
      send(peer, "stream request")
      is("chunk", yield* peer.typed(FrameType.Chunk, 7))
      send(peer, "credit")
      is("end", yield* peer.typed(FrameType.End, 7))
      send(peer, "waiting request")
      send(peer, "interrupt")
      is("interrupted", yield* peer.typed(FrameType.Refusal, 8))
      send(peer, "upload request")
      send(peer, "upload chunk")
      send(peer, "upload end")
      is("upload answer", yield* peer.typed(FrameType.Success, 10))
      send(peer, "failing upload request")
      send(peer, "upload failure")
      is("failing upload answer", yield* peer.typed(FrameType.Success, 11))
      send(peer, "left upload request")
      send(peer, "last upload chunk")
      is("upload left", yield* peer.typed(FrameType.Interrupt, 12))
      is("left upload answer", yield* peer.typed(FrameType.Success, 12))
      send(peer, "ping")
      is("pong", yield* peer.typed(FrameType.Pong))
      send(peer, "long request")
      const first = yield* peer.frame(({ flags, id }) => id === 9 && flags === 1)
      is("first segment", first, 32)
      is("last segment", yield* peer.frame(({ flags, id }) => id === 9 && flags === 0))
      peer.leaves = false
      const stopping = yield* Effect.forkChild(Fiber.interrupt(serving))
      is("going away", yield* peer.typed(FrameType.GoingAway))
      peer.send(99, 0, 0)
      const goodbye = yield* peer.typed(FrameType.Goodbye)
      is("goodbye", goodbye)
      yield* Fiber.join(stopping)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("are what a client sends", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ service: "echo", methods: plain, limits: limitsFrom({}) })
      const { client } = yield* clientOver(Group, end, {
        service: "echo",
        helloTimeout: 2000,
        keepalive: { interval: 100, timeout: 10_000 }
      })
      const hello = yield* peer.typed(FrameType.Hello)
      assert.strictEqual(Buffer.from(hello.body.subarray(0, 10)).toString("hex"), "766368616e7270630100")
      const say = yield* Effect.forkChild(client.Say({ text: "hi" }))
      is("request", yield* peer.typed(FrameType.Request, 1))
      send(peer, "success")
      assert.strictEqual(yield* Fiber.join(say), "hi")
      const late = yield* Effect.forkChild(Effect.exit(client.Say({ text: "hi" }).pipe(Deadline.within("10 seconds"))))
      const { body, flags } = yield* peer.typed(FrameType.Request, 2)
      assert.deepStrictEqual([flags, body[0], body.length], [2, 1, 5 + 13])
      yield* Fiber.interrupt(late)
      const waits = yield* Effect.forkChild(client.Wait())
      yield* until(() => peer.frames.find(({ id }) => id === 3))
      yield* Fiber.interrupt(waits)
      const { method, type } = yield* peer.frame(({ id, type }) => id === 3 && type === FrameType.Interrupt)
      assert.deepStrictEqual([type, method], [4, 2])
      for (const id of [2, 3]) peer.send(FrameType.Refusal, 0, id, new TextEncoder().encode(`{"_tag":"Interrupted"}`))
      send(peer, "going away")
      is("going away", yield* peer.typed(FrameType.GoingAway))
    }).pipe(Effect.scoped))
})

describe("docs/PROTOCOL.md's values in the binary codec", () => {
  const page = fs.readFileSync(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8")
  const rows = [...page.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]+)` \|$/gm)]

  it("are there", () => {
    assert.isAtLeast(rows.length, 14)
  })

  for (const [, shape = "", value = "", hex = ""] of rows) {
    it(`${value} of ${shape} is ${hex}`, () => {
      const schema = schemaOf(Result.getOrThrow(readShape(JSON.parse(shape))))
      const read = Schema.decodeUnknownSync(Schema.toCodecJson(schema))(JSON.parse(value))
      const codec = binary(schema, {})
      assert.strictEqual(Buffer.from(Result.getOrThrow(codec.encode(read))).toString("hex"), hex)
      assert.deepStrictEqual(Result.getOrThrow(codec.decode(Buffer.from(hex, "hex"))), read)
    })
  }

  it("have the fingerprint of the page", () => {
    const [, shapes = "", fingerprint = ""] = /^The fingerprint of `([^`]+)` is\s`(\w+)`/m.exec(page) ?? []
    assert.strictEqual(fingerprintOf(Result.getOrThrow(readMethodShapes(JSON.parse(shapes)))), fingerprint)
    assert.strictEqual(
      methodsOf(RpcGroup.make(Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String })))[0]?.fingerprint,
      fingerprint
    )
  })
})
