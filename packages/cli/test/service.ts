/** A service for commands to call, in this process. */
import { Caller, VchanRpcServer } from "@vchan/rpc"
import { EmulatedXen } from "@vchan/xen-linux"
import { Effect, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { Headers } from "effect/http"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"

class Missing extends Schema.TaggedError<Missing>()("Missing", { key: Schema.String }) {}

const Tried = RpcGroup.make(
  Rpc.make("Get", { payload: { key: Schema.String, version: Schema.optionalKey(Schema.Int) }, success: Schema.String, error: Missing }),
  Rpc.make("Who", { success: Schema.Int }),
  Rpc.make("Header", { payload: { name: Schema.String }, success: Schema.NullOr(Schema.String) }),
  Rpc.make("Reverse", { payload: { bytes: Schema.Uint8Array }, success: Schema.Uint8Array }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, error: Missing, stream: true }),
  Rpc.make("Ticks", { success: Schema.Int, stream: true }),
  Rpc.make("Sum", { payload: RpcSchema.Stream(Schema.Int, Schema.Never), success: Schema.Int }),
  Rpc.make("Scale", {
    payload: { by: Schema.Int, stream: Schema.optionalKey(Schema.Boolean), numbers: RpcSchema.Stream(Schema.Int, Schema.Never) },
    success: Schema.Int,
    stream: true
  }),
  Rpc.make("Hang"),
  Rpc.make("Die")
)

/** Serves `tried` as domain 5 to everybody, for as long as the Scope lives. Gives what was interrupted. */
export const serveTried = Effect.fnUntraced(function*(directory: string) {
  const interrupted: Array<string> = []
  const handlers = Tried.toLayer({
    Get: ({ key, version = 1 }) => key === "none" ? Effect.fail(new Missing({ key })) : Effect.succeed(`${key} ${version}`),
    Who: () => Effect.map(Caller, ({ domid }) => domid),
    Header: ({ name }, { headers }) => Effect.succeed(Headers.get(headers, name)._tag === "Some" ? headers[name] ?? null : null),
    Reverse: ({ bytes }) => Effect.succeed(bytes.toReversed()),
    Count: ({ to }) => to < 0 ? Stream.concat(Stream.range(1, 2), Stream.fail(new Missing({ key: "3" }))) : Stream.range(1, to),
    Ticks: () => Stream.fromSchedule(Schedule.spaced("10 millis")).pipe(Stream.ensuring(Effect.sync(() => interrupted.push("Ticks")))),
    Sum: (numbers) => Stream.runFold(numbers, () => 0, (total, number) => total + number),
    Scale: ({ by, numbers }) => Stream.map(numbers, (number) => by * number),
    Hang: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push("Hang"))),
    Die: () => Effect.die(new Error("a bug\u001b[2J\nvchan: all is well"))
  })
  yield* VchanRpcServer.layer(Tried, { service: "tried", clients: "any", maxMessage: 2048 }).pipe(
    Layer.provide(handlers),
    Layer.provide(EmulatedXen.layer({ directory, domid: 5 })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  return interrupted
})
