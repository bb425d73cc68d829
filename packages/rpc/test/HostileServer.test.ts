import { assert, describe, it } from "@effect/vitest"
import { Listener } from "@vchan/vchan"
import { MemoryXen } from "@vchan/xen"
import { Effect, Layer, Result, Schedule, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { methodsOf } from "../src/Contract.ts"
import { FrameType } from "../src/Frame.ts"
import { FrameWriter } from "../src/FrameWriter.ts"
import { encodeHello } from "../src/Hello.ts"
import { VchanRpcClient } from "../src/index.ts"
import { limitsFrom } from "../src/Limits.ts"
import { turn, until } from "./support/rawPeer.ts"

const Group = RpcGroup.make(Rpc.make("Get", { success: Schema.Int }))
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

describe("A server that goes away again and again, and never closes", () => {
  it.live("holds few connections of its client, which calls on the newest", () =>
    Effect.scoped(Effect.gen(function*() {
      const host = yield* MemoryXen.make()
      const rounds = 20
      let came = 0
      let open = 0
      const handler = Effect.fnUntraced(function*(vchan: Parameters<Parameters<typeof Listener.make>[0]["handler"]>[0]) {
        const isLast = ++came > rounds
        open++
        const buffer = new Uint8Array(4096)
        yield* vchan.readInto(buffer)
        yield* vchan.write(frame(FrameType.Hello, 0, hello))
        if (!isLast) yield* vchan.write(frame(FrameType.GoingAway))
        for (;;) {
          yield* vchan.readInto(buffer)
          if (isLast && buffer[4] === FrameType.Request) yield* vchan.write(frame(FrameType.Success, 1, one))
        }
      })
      const [five, seven] = [yield* Layer.build(host.domain(5)), yield* Layer.build(host.domain(7))]
      yield* Effect.provideContext(
        Listener.make({
          path: "data/rpc/test",
          clients: "any",
          maxPerDomain: 100,
          handler: (vchan) => Effect.ensuring(Effect.ignore(handler(vchan)), Effect.sync(() => open--))
        }),
        five
      )
      const client = yield* Effect.provideContext(
        VchanRpcClient.make(Group, { domain: 5, service: "test", reconnect: Schedule.spaced("2 millis") }),
        seven
      )
      yield* until(() => came > rounds || undefined)
      // Four that never end, and the newest.
      yield* until(() => open === 5 || undefined)
      assert.strictEqual(yield* client.Get(), 1)
      yield* turn
      assert.strictEqual(open, 5)
    })))
})
