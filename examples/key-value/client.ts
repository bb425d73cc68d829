/** `client.ts <domid of the store> get|set|remove|watch <key> [<value>]` */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { VchanRpcClient } from "@vchan/rpc"
import { isDomId } from "@vchan/xen"
import { Xen } from "@vchan/xen-linux"
import { Console, Effect, Schedule, Schema, Stream } from "effect"
import { Key, KeyValue } from "./contract.ts"

const usage = "client.ts <domid of the store> get|set|remove|watch <key> [<value>]"
const [domid, command, name = "", value = ""] = process.argv.slice(2)
const domain = Number(domid)

const program = Effect.gen(function*() {
  if (!isDomId(domain)) return yield* Effect.fail(new Error(usage))
  const key = yield* Schema.decodeEffect(Key)(name)
  const store = yield* VchanRpcClient.make(KeyValue, { domain, service: "key-value" })
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
      return yield* Effect.fail(new Error(usage))
  }
})

program.pipe(
  Effect.scoped,
  Effect.provide(Xen.layer),
  Effect.catch(({ message }) => {
    process.exitCode = 1
    return Console.error(message)
  }),
  NodeRuntime.runMain
)
