/**
 * Calls between domains: a service whose calls last, and a client of it. Their arguments begin with the milliseconds of the keepalive's
 * interval and timeout. `serve` and `call DOMID` are the two sides as everybody has them; `offer DOMID PATH` and `dial DOMID PATH` speak over a
 * raw vchan, of whose end a guest's server hears from nobody.
 */
import { VchanRpcClient, type VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import { Handshake, type VchanError } from "@vchan/vchan"
import type { Xen } from "@vchan/xen"
import { Effect, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { Rpc, type RpcClient, RpcGroup } from "effect/rpc"
import { clientOver } from "../../../packages/rpc/src/clientOver.ts"
import { serveGroup } from "../../../packages/rpc/src/serveGroup.ts"

const Lasting = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Hang"),
  Rpc.make("Ticks", { success: Schema.Int, stream: true })
)

/** Tells a word. */
type Say = (line: string) => Effect.Effect<void>

const service = "lasting"

const handlers = (say: Say) =>
  Lasting.toLayer({
    Say: ({ text }) => Effect.succeed(text),
    Hang: () => Effect.onInterrupt(Effect.never, () => say("Hang was interrupted")),
    Ticks: () => Stream.fromSchedule(Schedule.spaced("50 millis"))
  })

/** What a server says of a connection's end, it says to its log. */
const logs = (say: Say) => Logger.layer([Logger.make(({ message }) => Effect.runSync(say(`logged ${message}`)))])

/** Runs one side until its work is done. */
export const calls = (args: ReadonlyArray<string>, say: Say): Effect.Effect<void, VchanError | VchanRpcError, Xen> => {
  const [interval, timeout, side, domid, path = ""] = args
  const keepalive = { interval: Number(interval), timeout: Number(timeout) }
  const peer = { domid: Number(domid), path, leftMin: 1 << 16, rightMin: 1 << 16 }
  const run = Effect.gen(function*() {
    switch (side) {
      case "serve":
        yield* Layer.build(VchanRpcServer.layer(Lasting, { service, clients: "any", keepalive }))
        yield* say("up")
        return yield* Effect.never
      case "offer": {
        const handler = yield* serveGroup(Lasting, { service, keepalive })
        const server = yield* Handshake.server(peer)
        yield* say("up")
        yield* Effect.scoped(Effect.flatMap(server.accept, handler))
        return yield* say("over")
      }
      case "call":
        return yield* call(yield* VchanRpcClient.make(Lasting, { domain: Number(domid), service, keepalive }), say)
      default: {
        const vchan = yield* Handshake.client(peer)
        return yield* call((yield* clientOver(Lasting, vchan, { service, helloTimeout: 5000, keepalive })).client, say)
      }
    }
  })
  return run.pipe(Effect.scoped, Effect.provide(handlers(say)), Effect.provide(logs(say)))
}

/** Calls, hangs in a call, and counts in a stream, until each has ended. */
const call = Effect.fnUntraced(function*(
  client: RpcClient.RpcClient<RpcGroup.Rpcs<typeof Lasting>, VchanRpcError>,
  say: Say
) {
  yield* say(`said ${yield* client.Say({ text: "hello" })}`)
  const ticks = Stream.runForEach(client.Ticks(), (n) => say(`tick ${n}`))
  const ends = [["Hang", client.Hang()], ["Ticks", ticks]] as const
  yield* Effect.forEach(
    ends,
    ([name, call]) =>
      Effect.catch(
        call,
        ({ message, reason }) =>
          say(`${name} failed: ${reason._tag === "ConnectionLost" ? reason.error.reason._tag : reason._tag}: ${message}`)
      ),
    {
      concurrency: "unbounded",
      discard: true
    }
  )
})
