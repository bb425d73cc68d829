/**
 * Calls between domains: a service whose calls last, and a client of it. Their arguments begin with the milliseconds of the keepalive's
 * interval and timeout. `serve` and `call DOMID` are the two sides as everybody has them; `offer DOMID PATH` and `dial DOMID PATH` speak over a
 * raw vchan, of whose end a guest's server hears from nobody. `upload DOMID` sends a stream, and `outlast DOMID` one that ends after its server
 * has begun to go away.
 */
import { VchanRpcClient, type VchanRpcError, VchanRpcServer } from "@vchan/rpc"
import { Handshake, type VchanError } from "@vchan/vchan"
import type { Xen } from "@vchan/xen"
import { Deferred, Effect, Fiber, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { Rpc, type RpcClient, RpcGroup, RpcSchema } from "effect/rpc"
import { clientOver } from "../../../packages/rpc/src/clientOver.ts"
import { serveGroup } from "../../../packages/rpc/src/serveGroup.ts"

const Lasting = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Hang"),
  Rpc.make("Ticks", { success: Schema.Int, stream: true }),
  Rpc.make("Sum", { payload: { numbers: RpcSchema.Stream(Schema.Int, Schema.Never) }, success: Schema.Int })
)

/** Tells a word. */
type Say = (line: string) => Effect.Effect<void>

const service = "lasting"

const handlers = (say: Say) =>
  Lasting.toLayer({
    Say: ({ text }) => Effect.succeed(text),
    Hang: () => Effect.onInterrupt(Effect.never, () => say("Hang was interrupted")),
    Ticks: () => Stream.fromSchedule(Schedule.spaced("50 millis")),
    Sum: ({ numbers }) => Effect.andThen(say("Sum began"), Stream.runFold(numbers, () => 0, (sum, number) => sum + number))
  })

/** What a server says of a connection's end, it says to its log. */
const logs = (say: Say) => Logger.layer([Logger.make(({ message }) => Effect.runSync(say(`logged ${message}`)))])

/** Runs one side until its work is done. */
export const calls = (args: ReadonlyArray<string>, say: Say): Effect.Effect<void, VchanError | VchanRpcError, Xen> => {
  const [interval, timeout, side, domid, path = ""] = args
  const keepalive = { interval: Number(interval), timeout: Number(timeout) }
  const peer = { domid: Number(domid), path, leftMin: 1 << 16, rightMin: 1 << 16 }
  const options = { domain: Number(domid), service, keepalive, timeout: 60_000 }
  const run = Effect.gen(function*() {
    switch (side) {
      case "serve":
        yield* Layer.build(VchanRpcServer.layer(Lasting, { service, clients: "any", keepalive, grace: "1 minute" }))
        yield* say("up")
        return yield* Effect.never
      case "offer": {
        const handler = yield* serveGroup(Lasting, { service, keepalive, helloTimeout: "1 minute" })
        const server = yield* Handshake.server(peer)
        yield* say("up")
        yield* Effect.scoped(Effect.flatMap(server.accept, handler))
        return yield* say("over")
      }
      case "call":
        return yield* call(yield* VchanRpcClient.make(Lasting, options), say)
      case "upload":
        return yield* upload(yield* VchanRpcClient.make(Lasting, options), say)
      case "outlast":
        return yield* outlast(yield* connect(options), say)
      default: {
        const vchan = yield* Handshake.client(peer)
        return yield* call((yield* clientOver(Lasting, vchan, { service, helloTimeout: 60_000, keepalive })).client, say)
      }
    }
  })
  return run.pipe(Effect.scoped, Effect.provide(handlers(say)), Effect.provide(logs(say)))
}

/** Connects once. */
const connect = (options: { readonly domain: number; readonly service: string; readonly timeout: number }) =>
  VchanRpcClient.connect(Lasting, { ...options, reconnect: false })

type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Lasting>, VchanRpcError>

/** Sends a stream that its call takes whole. */
const upload = Effect.fnUntraced(function*(client: Client, say: Say) {
  yield* say(`summed ${yield* client.Sum({ numbers: Stream.range(1, 10_000) })}`)
})

/** Sends the end of a stream only when the server has said that it goes away, and nobody gets in any more. */
const outlast = Effect.fnUntraced(function*(connection: Effect.Success<ReturnType<typeof connect>>, say: Say) {
  const { changes, client } = connection
  const last = yield* Deferred.make<number>()
  const numbers = Stream.concat(Stream.make(1), Stream.fromEffect(Deferred.await(last)))
  const call = yield* Effect.forkChild(client.Sum({ numbers }))
  yield* Stream.runDrain(changes)
  const late = Effect.match(client.Say({ text: "late" }), { onFailure: ({ reason }) => reason._tag, onSuccess: () => "nothing" })
  yield* say(`late failed: ${yield* late}`)
  yield* Deferred.succeed(last, 2)
  yield* say(`summed ${yield* Fiber.join(call)}`)
})

/** Calls, hangs in a call, and counts in a stream, until each has ended. */
const call = Effect.fnUntraced(function*(client: Client, say: Say) {
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
