import { assert, describe, it } from "@effect/vitest"
import { PeerGone } from "@vchan/vchan"
import { Effect, Exit, Fiber, Layer, Logger, Result, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import * as fc from "fast-check"
import { clientOver } from "../src/clientOver.ts"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { encodeHello, version } from "../src/Hello.ts"
import { limitsFrom } from "../src/Limits.ts"
import { serveGroup, type ServeOptions } from "../src/serveGroup.ts"
import { memoryVchans } from "./support/memoryVchan.ts"
import { pair } from "./support/pair.ts"
import { RawPeer, text, turns, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Wait"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
)
const methods = methodsOf(Group)
const say = Result.getOrThrow(methods[0]?.binary.payload.encode({ text: "hi" }) ?? Result.fail("none")).slice()
const nothing = Result.getOrThrow(methods[1]?.binary.payload.encode(undefined) ?? Result.fail("none")).slice()

let waiting = 0
const Live = Group.toLayer({
  Say: ({ text }) => Effect.succeed(text),
  Wait: () =>
    Effect.ensuring(
      Effect.andThen(Effect.sync(() => waiting++), Effect.never),
      Effect.sync(() => waiting--)
    ),
  Count: ({ to }) => Stream.range(1, to)
}).pipe(Layer.provideMerge(Logger.layer([])))

/** A server with a raw client that has said Hello, if it should. */
const serve = Effect.fnUntraced(function*(options: Partial<ServeOptions> & { readonly greets?: boolean } = {}) {
  const { client, server } = memoryVchans()
  const handler = yield* serveGroup(Group, { service: "test", grace: 0, ...options })
  const serving = yield* Effect.forkScoped(Effect.ensuring(handler(server), Effect.sync(() => server.close())))
  const peer = new RawPeer(client)
  if (options.greets !== false) {
    peer.hello({ methods })
    yield* peer.typed(FrameType.Hello)
  }
  return { peer, serving }
})

/** A client whose server is raw and has said Hello. */
const call = Effect.fnUntraced(function*() {
  const { client: end, server } = memoryVchans()
  const peer = new RawPeer(server)
  peer.hello({ methods })
  const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
  const fiber = yield* Effect.forkChild(Effect.exit(client.Say({ text: "hi" })))
  const request = yield* peer.frame((frame) => frame.type === FrameType.Request)
  return { client, fiber, peer, id: request.id }
})

const goodbye = (peer: RawPeer) => Effect.map(peer.typed(FrameType.Goodbye), (frame) => text(frame.body))

describe("A hostile client", () => {
  const violations: ReadonlyArray<readonly [string, (peer: RawPeer) => void, string]> = [
    ["an unknown frame type", (peer) => peer.send(99, 0, 1), "type 99"],
    ["a server's frame type", (peer) => peer.send(FrameType.Success, 0, 1), "type 6"],
    ["a second Hello", (peer) => peer.hello({ methods }), "type 1"],
    ["flags of a later version", (peer) => peer.bytes(Uint8Array.from([8, 0, 0, 0, 3, 4, 0, 0, 1, 0, 0, 0])), "flags 4"],
    ["a frame too long", (peer) => peer.bytes(Uint8Array.from([0xFF, 0xFF, 0xFF, 0xFF])), "over the limit of 67592 bytes"],
    ["a frame too short", (peer) => peer.bytes(Uint8Array.from([0, 0, 0, 0])), "shorter than its header"],
    ["a method beyond its Hello", (peer) => peer.send(FrameType.Request, 3, 1, say), "method 3"],
    ["an id that is in use", (peer) => {
      peer.send(FrameType.Request, 1, 1, nothing)
      peer.send(FrameType.Request, 0, 1, say)
    }, "the id 1"],
    ["a credit of no stream", (peer) => {
      peer.send(FrameType.Request, 1, 1, nothing)
      peer.credit(1, 1)
    }, "a credit of 1"],
    ["a credit over what was sent", (peer) => {
      peer.send(FrameType.Request, 2, 1, Result.getOrThrow(methods[2]?.binary.payload.encode({ to: 1_000_000 }) ?? Result.fail("none")))
      peer.credit(1, 0xFFFF_FFFF)
    }, "a credit of 4294967295"],
    ["a credit cut short", (peer) => peer.send(FrameType.Credit, 0, 1, Uint8Array.from([1])), "not 4 bytes"]
  ]
  for (const [name, attack, detail] of violations) {
    it.live(`${name} closes its connection, tells why, and leaves no handler`, () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* serve()
        attack(peer)
        assert.include(yield* goodbye(peer), detail)
        yield* Fiber.join(serving)
        yield* until(() => peer.ended || undefined)
        assert.strictEqual(waiting, 0)
      }).pipe(Effect.scoped, Effect.provide(Live)))
  }

  it.live("closes no other connection", () =>
    Effect.gen(function*() {
      const { client } = yield* pair(Group)
      const { peer, serving } = yield* serve()
      peer.send(99, 0, 0)
      yield* Fiber.join(serving)
      assert.strictEqual(yield* client.Say({ text: "unmoved" }), "unmoved")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a payload that is none is refused, naming why, and the connection goes on", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      peer.send(FrameType.Request, 0, 1, Uint8Array.from([1, 2, 3]))
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "BadPayload")
      peer.send(FrameType.Request, 0, 1, say)
      yield* peer.typed(FrameType.Success, 1)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a method the server does not have is refused, and the connection goes on", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ greets: false })
      peer.hello({ methods: [{ name: "Other", fingerprint: "" }, ...methods] })
      peer.send(FrameType.Request, 0, 1, say)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 1)).body), "UnknownMethod")
      peer.send(FrameType.Request, 1, 2, say)
      yield* peer.typed(FrameType.Success, 2)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("calls over the limit are refused, and those within it run", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve({ maxCalls: 2 })
      for (const id of [1, 2, 3]) peer.send(FrameType.Request, 1, id, nothing)
      assert.include(text((yield* peer.typed(FrameType.Refusal, 3)).body), "TooManyCalls")
      assert.strictEqual(waiting, 2)
      peer.send(FrameType.Interrupt, 0, 1)
      yield* peer.typed(FrameType.Refusal, 1)
      peer.send(FrameType.Request, 0, 4, say)
      yield* peer.typed(FrameType.Success, 4)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("interrupts and credits for calls that are over change nothing", () =>
    Effect.gen(function*() {
      const { peer } = yield* serve()
      for (let turn = 0; turn < 100; turn++) {
        peer.send(FrameType.Interrupt, 0, 5)
        peer.credit(5, 100)
      }
      peer.send(FrameType.Request, 0, 5, say)
      yield* peer.typed(FrameType.Success, 5)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("any bytes after the Hello end the connection or are answered, and the server lives", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<Layer.Success<typeof Live>>()
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) =>
            Effect.runPromiseWith(context)(Effect.scoped(Effect.gen(function*() {
              const { peer, serving } = yield* serve()
              peer.bytes(bytes)
              yield* turns(3)
              peer.vchan.close()
              yield* Fiber.join(serving)
            })))),
          { numRuns: 200 }
        )
      )
      assert.strictEqual(waiting, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("any well-formed frames after the Hello end the connection or are answered, and leave no handler", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<Layer.Success<typeof Live>>()
      const body = fc.oneof(fc.constant(say), fc.constant(nothing), fc.uint8Array({ maxLength: 30 }))
      const frame = fc.tuple(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 4 }), body)
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(frame, { maxLength: 20 }), (frames) =>
            Effect.runPromiseWith(context)(Effect.scoped(Effect.gen(function*() {
              const { peer, serving } = yield* serve()
              for (const [type, method, id, body] of frames) peer.send(type, method, id, body)
              yield* turns(3)
              peer.vchan.close()
              yield* Fiber.join(serving)
            })))),
          { numRuns: 200 }
        )
      )
      assert.strictEqual(waiting, 0)
    }).pipe(Effect.scoped, Effect.provide(Live)))
})

describe("A handshake that fails", () => {
  it.live("a client that says nothing is let go after the timeout", () =>
    Effect.gen(function*() {
      const { peer, serving } = yield* serve({ greets: false, helloTimeout: 20 })
      assert.include(yield* goodbye(peer), "HandshakeTimeout")
      yield* Fiber.join(serving)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.live("a client that asks for another service is told which is served", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const handler = yield* serveGroup(Group, { service: "test" })
      yield* Effect.forkScoped(handler(server))
      const error = yield* Effect.flip(clientOver(Group, end, { service: "other", helloTimeout: 2000 }))
      assert.strictEqual(error.reason._tag, "HandshakeRefused")
      assert.include(error.message, "\"test\" is served here")
    }).pipe(Effect.scoped, Effect.provide(Live)))

  const answers: ReadonlyArray<readonly [string, (peer: RawPeer) => void, string, string]> = [
    ["says nothing", () => {}, "HandshakeTimeout", "no Hello after 50 ms"],
    ["sends other bytes", (peer) => peer.bytes(new TextEncoder().encode("echo echo echo echo")), "ProtocolViolation", "length"],
    ["sends another frame first", (peer) => peer.send(FrameType.Success, 0, 1), "HandshakeRefused", "no Hello"],
    [
      "sends another version",
      (peer) => {
        const body = encodeHello({ service: "test", limits: limitsFrom({}), methods: [] })
        body[8] = version + 1
        peer.send(FrameType.Hello, 0, 0, body)
      },
      "HandshakeRefused",
      "version 2"
    ],
    ["answers for another service", (peer) => peer.hello({ service: "other", methods }), "HandshakeRefused", "\"other\" answered"],
    ["says goodbye without a reason", (peer) => peer.send(FrameType.Goodbye, 0, 0), "HandshakeRefused", "without a reason"],
    [
      "goes",
      (peer) => {
        peer.vchan.other?.end(new PeerGone())
      },
      "ConnectionLost",
      "peer closed"
    ]
  ]
  for (const [name, answer, tag, detail] of answers) {
    it.live(`a server that ${name} fails the client with ${tag}`, () =>
      Effect.gen(function*() {
        const { client: end, server } = memoryVchans()
        const peer = new RawPeer(server)
        answer(peer)
        const error = yield* Effect.flip(clientOver(Group, end, { service: "test", helloTimeout: 50 }))
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, detail)
      }).pipe(Effect.scoped))
  }
})

describe("A hostile server", () => {
  const violations: ReadonlyArray<readonly [string, (peer: RawPeer, id: number) => void, string]> = [
    ["a reply to no call", (peer, id) => peer.send(FrameType.Success, 0, id + 1, say), "not in flight"],
    ["a second reply", (peer, id) => {
      peer.send(FrameType.Success, 0, id, say)
      peer.send(FrameType.Success, 0, id, say)
    }, "not in flight"],
    ["items of a method that has none", (peer, id) => peer.send(FrameType.Chunk, 0, id, say), "items for the method Say"],
    ["an end of what is no stream", (peer, id) => peer.send(FrameType.End, 0, id), "type 11 for the method Say"],
    ["an unknown frame type", (peer, id) => peer.send(77, 0, id), "type 77"],
    ["a request", (peer, id) => peer.send(FrameType.Request, 0, id, say), "type 3"],
    ["a frame too long", (peer) => peer.bytes(Uint8Array.from([0xFF, 0xFF, 0xFF, 0xFF])), "over the limit"]
  ]
  for (const [name, attack, detail] of violations) {
    it.live(`${name} closes the connection, and the caller's calls fail with ProtocolViolation`, () =>
      Effect.gen(function*() {
        const { client, id, peer } = yield* call()
        attack(peer, id)
        assert.include(yield* goodbye(peer), detail)
        const error = yield* Effect.flip(client.Say({ text: "later" }))
        assert.strictEqual(error.reason._tag, "ProtocolViolation")
        assert.include(error.message, detail)
      }).pipe(Effect.scoped))
  }

  const replies: ReadonlyArray<readonly [string, number, Uint8Array]> = [
    ["value", FrameType.Success, Uint8Array.from([1, 2, 3])],
    ["failure", FrameType.Failure, Uint8Array.from([1, 2, 3])],
    ["refusal", FrameType.Refusal, Uint8Array.from([1, 2, 3])]
  ]
  for (const [name, type, body] of replies) {
    it.live(`a ${name} that cannot be read fails that call alone with BadReply`, () =>
      Effect.gen(function*() {
        const { client, fiber, id, peer } = yield* call()
        peer.send(type, 0, id, body)
        const exit = yield* Fiber.join(fiber)
        assert.isTrue(Exit.isFailure(exit))
        assert.include(JSON.stringify(exit), "BadReply")
        const next = yield* Effect.forkChild(client.Say({ text: "again" }))
        const request = yield* peer.frame((frame) => frame.type === FrameType.Request && frame.id !== id)
        peer.send(FrameType.Success, 0, request.id, Result.getOrThrow(methods[0]?.binary.success.encode("fine") ?? Result.fail("none")))
        assert.strictEqual(yield* Fiber.join(next), "fine")
      }).pipe(Effect.scoped))
  }

  it.live("a defect that cannot be read is still a defect", () =>
    Effect.gen(function*() {
      const { fiber, id, peer } = yield* call()
      peer.send(FrameType.Defect, 0, id)
      assert.include(JSON.stringify(yield* Fiber.join(fiber)), "Die")
    }).pipe(Effect.scoped))

  it.live("answers to calls that nobody waits for any more are taken, once", () =>
    Effect.gen(function*() {
      const { fiber, id, peer } = yield* call()
      yield* Fiber.interrupt(fiber)
      yield* peer.typed(FrameType.Interrupt, id)
      peer.send(FrameType.Chunk, 0, id, say)
      peer.send(FrameType.Success, 0, id, say)
      yield* turns(5)
      assert.isUndefined(peer.frames.find((frame) => frame.type === FrameType.Goodbye))
      peer.send(FrameType.Success, 0, id, say)
      assert.include(yield* goodbye(peer), "not in flight")
    }).pipe(Effect.scoped))

  it.live("one that answers nothing lets no more calls wait than it announced", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans({ size: 1024 })
      const peer = new RawPeer(server, false)
      peer.hello({ methods, limits: limitsFrom({ maxMessage: 1024, maxCalls: 10, window: 1024 }) })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      for (let turn = 0; turn < 10; turn++) yield* Effect.flip(Effect.timeout(client.Wait(), 1))
      const error = yield* Effect.flip(client.Wait())
      assert.strictEqual(error._tag === "VchanRpcError" ? error.reason._tag : "", "TooManyCalls")
    }).pipe(Effect.scoped))

  it.live("one that takes any number of calls and ends none gets no more once thousands were given up, until it ends some", () =>
    Effect.gen(function*() {
      const { client: end, server } = memoryVchans()
      const peer = new RawPeer(server)
      peer.hello({ methods, limits: limitsFrom({ maxCalls: 0xFFFF_FFFF, memory: 0xFFFF_FFFF }) })
      const { client } = yield* clientOver(Group, end, { service: "test", helloTimeout: 2000 })
      const waits = yield* Effect.forkChild(Effect.exit(client.Wait()))
      yield* peer.typed(FrameType.Request, 1)
      for (let call = 0; call < 4096; call++) {
        const fiber = yield* Effect.forkChild(client.Say({ text: "" }), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }
      const error = yield* Effect.flip(client.Say({ text: "" }))
      assert.deepInclude(error.reason, { _tag: "CallsUnended", calls: 4096 })
      yield* peer.typed(FrameType.Interrupt, 4097)
      // Its words on those go unheard, and their ends count.
      peer.credit(2, 1)
      peer.send(FrameType.Interrupt, 0, 2)
      peer.send(FrameType.Success, 0, 2, say)
      const next = yield* Effect.forkChild(client.Say({ text: "again" }))
      const { id } = yield* peer.typed(FrameType.Request, 4098)
      peer.send(FrameType.Success, 0, id, say)
      assert.strictEqual(yield* Fiber.join(next), "hi")
      peer.send(FrameType.Success, 1, 1, nothing)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(waits)))
    }).pipe(Effect.scoped))
})
