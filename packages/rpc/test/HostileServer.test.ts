import { assert, describe, it } from "@effect/vitest"
import { Listener, type Vchan, type VchanError } from "@vchan/vchan"
import { MemoryXen } from "@vchan/xen"
import { Effect, Layer, Result, Schedule, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { FrameWriter } from "../src/FrameWriter.ts"
import { encodeHello } from "../src/Hello.ts"
import { Deadline, VchanRpcClient } from "../src/index.ts"
import { limitsFrom } from "../src/Limits.ts"
import { until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(
  Rpc.make("Get", { success: Schema.Int }),
  Rpc.make("Short").annotate(Deadline.Timeout, "60 millis"),
  Rpc.make("Long").annotate(Deadline.Timeout, "1 minute")
)
const methods = methodsOf(Group)
const hello = encodeHello({ service: "test", limits: limitsFrom({}), methods })
const one = Result.getOrThrow(methods[0]?.binary.success.encode(1) ?? Result.fail("none")).slice()

const frame = (type: number, id = 0, body: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const writer = new FrameWriter()
  const parts: Array<Uint8Array> = []
  writer.frame(type, 0, id, body)
  writer.drain({
    writeUnsafe: (bytes, offset, length) => {
      parts.push(bytes.slice(offset, offset + length))
      return length
    }
  })
  return Buffer.concat(parts)
}

type Handler = (vchan: Vchan, nth: number) => Effect.Effect<void, VchanError>

/** Domain 5 serves by that handler; gives what makes a client in domain 7, and how many connections are open. */
const world = Effect.fnUntraced(function*(handler: Handler) {
  const host = yield* MemoryXen.make()
  const [five, seven] = [yield* Layer.build(host.domain(5)), yield* Layer.build(host.domain(7))]
  const log = { came: 0, open: 0 }
  const handle = (vchan: Vchan) =>
    Effect.suspend(() => {
      log.open++
      return Effect.ensuring(Effect.ignore(handler(vchan, ++log.came)), Effect.sync(() => log.open--))
    })
  yield* Effect.provideContext(Listener.make({ path: "data/rpc/test", clients: "any", maxPerDomain: 100, handler: handle }), five)
  const reconnect = Schedule.spaced("2 millis")
  const client = Effect.provideContext(VchanRpcClient.make(Group, { domain: 5, service: "test", reconnect }), seven)
  return { client, log }
})

/** Reads what comes next, which is one frame, and gives its bytes. */
const next = Effect.fnUntraced(function*(vchan: Vchan) {
  const buffer = Buffer.alloc(4096)
  return buffer.subarray(0, yield* vchan.readInto(buffer))
})

describe("A server that goes away again and again, and never closes", () => {
  it.live("holds few connections of its client, which calls on the newest", () =>
    Effect.scoped(Effect.gen(function*() {
      const rounds = 20
      const { client, log } = yield* world(Effect.fnUntraced(function*(vchan, nth) {
        yield* next(vchan)
        yield* vchan.write(frame(FrameType.Hello, 0, hello))
        if (nth <= rounds) yield* vchan.write(frame(FrameType.GoingAway))
        for (;;) {
          const got = yield* next(vchan)
          if (nth > rounds && got[4] === FrameType.Request) yield* vchan.write(frame(FrameType.Success, 1, one))
        }
      }))
      const { Get } = yield* client
      yield* until(() => log.came > rounds || undefined)
      // Four that never end, and the newest.
      yield* until(() => log.open === 5 || undefined)
      assert.strictEqual(yield* Get(), 1)
      assert.strictEqual(log.open, 5)
    })))
})

describe("A server that refuses a call as one that goes away, and stays", () => {
  /** Gives the milliseconds that each request told. */
  const refusing = Effect.fnUntraced(function*(pause: number) {
    const told: Array<number> = []
    const { client } = yield* world(Effect.fnUntraced(function*(vchan) {
      yield* next(vchan)
      yield* vchan.write(frame(FrameType.Hello, 0, hello))
      for (;;) {
        const request = yield* next(vchan)
        if (request[4] !== FrameType.Request) continue
        told.push(request.readUInt32LE(13))
        yield* Effect.sleep(pause)
        yield* vchan.write(frame(FrameType.Refusal, request.readUInt32LE(8), new TextEncoder().encode("{\"_tag\":\"Draining\"}")))
      }
    }))
    return { client: yield* client, told }
  })

  it.live("does not make the call's time begin anew", () =>
    Effect.scoped(Effect.gen(function*() {
      const { client, told } = yield* refusing(50)
      yield* Effect.forkChild(Effect.exit(client.Long()))
      yield* until(() => told[1])
      assert.isAtMost(told[1] ?? Infinity, 60_000 - 45)
    })))

  it.live("lets it fail with the time that it had", () =>
    Effect.scoped(Effect.gen(function*() {
      const { client } = yield* refusing(0)
      assert.include((yield* Effect.flip(client.Short())).message, "not over in the 60 ms it had")
    })))
})
