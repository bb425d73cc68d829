/** `client.ts <domid of the store> get|set|remove|watch <key> [<value>]` */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Schedule, Stream } from "effect"
import { KeyValue } from "./contract.ts"

const [domain, command, key = "", value = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const store = yield* VchanRpcClient.make(KeyValue, { domain: Number(domain), service: "key-value" })
  switch (command) {
    case "get":
      return yield* Effect.flatMap(store.Get({ key }), Console.log)
    case "set":
      return yield* store.Set({ key, value })
    case "remove":
      return yield* store.Remove({ key })
    case "watch": {
      yield* Console.log(`watching ${key}`)
      let after = 0
      const watched = Stream.suspend(() => store.Watch({ key, after }))
      return yield* Stream.runForEach(watched, ({ key, value, version }) => {
        after = version
        return Console.log(value === null ? `${key} is gone` : `${key} is ${value}`)
        // Where the store was away, the watch goes on after the last change that was seen.
      }).pipe(Effect.retry({ schedule: Schedule.spaced("200 millis"), while: (error) => error._tag === "VchanRpcError" }))
    }
    default:
      return yield* Effect.die("say get, set, remove or watch, and a key")
  }
})

program.pipe(
  Effect.catchTags({
    Forbidden: ({ message }) => Console.log(message),
    NoSuchKey: () => Console.log("no such key")
  }),
  Effect.scoped,
  Effect.provide(Xen.layer),
  NodeRuntime.runMain
)
