import { assert, describe, it } from "@effect/vitest"
import { servicePath, VchanRpcServer } from "@vchan/rpc"
import { Listener } from "@vchan/vchan"
import { MemoryXen } from "@vchan/xen"
import { Effect, Exit, Layer, Logger, Schema, Scope, Stream } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { spawn, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { until } from "../conformance/Backend.ts"

const Failed = Schema.Struct({ code: Schema.Int })
const Numbers = RpcSchema.Stream(Schema.Int, Schema.Never)
const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Fail", { payload: Failed, error: Failed }),
  Rpc.make("Die"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait"),
  Rpc.make("Sum", { payload: { numbers: Numbers }, success: Schema.Int }),
  Rpc.make("Double", { payload: { numbers: Numbers }, success: Schema.Int, stream: true }),
  Rpc.make("First", { payload: { numbers: Numbers, count: Schema.Int }, success: Schema.Array(Schema.Int) })
)

const handlers = Group.toLayer({
  Say: ({ text }, { headers }) => Effect.succeed(text === "name" ? `you are ${headers["name"]}` : text),
  Fail: Effect.fail,
  Die: () => Effect.die(new Error("dead")),
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => Effect.never,
  Sum: ({ numbers }) => Stream.runFold(numbers, () => 0, (sum, number) => sum + number),
  Double: ({ numbers }) => Stream.map(numbers, (number) => number * 2),
  First: ({ count, numbers }) => Stream.runCollect(Stream.take(numbers, count))
})

const service = "python"
const name = "a client in plain Python, made from docs/PROTOCOL.md"

/** The program, with its stdin and stdout carried over a vchan to that domain. */
const run = Effect.fnUntraced(function*(domid: number) {
  const vchan = yield* Listener.connect({ domid, path: servicePath(domid, service) })
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("python3", [fileURLToPath(new URL("client.py", import.meta.url))], { stdio: "pipe" })),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  let told = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => told += text)
  const written = Stream.fromAsyncIterable<Uint8Array, unknown>(child.stdout, (error) => error)
  yield* Effect.forkScoped(Stream.runForEach(written, (bytes) => vchan.write(bytes)))
  const read = Stream.runForEach(vchan.stream, (bytes) => Effect.sync(() => void child.stdin.write(bytes.slice())))
  yield* Effect.forkScoped(Effect.ensuring(read, Effect.sync(() => void child.stdin.end())))
  return {
    /** What it has told, by its names. */
    said: () =>
      new Map(told.split("\n").slice(0, -1).map((line): [string, unknown] => line.startsWith("[") ? JSON.parse(line) : [line, null])),
    ended: until("the client's end", () => child.exitCode !== null || child.signalCode !== null)
  }
})

const suite = () =>
  it.live("makes calls of each kind, streams both ways, and takes leave of a server that ends", () =>
    Effect.gen(function*() {
      const host = yield* MemoryXen.make()
      const [one, two] = yield* Effect.all([Layer.build(host.domain(1)), Layer.build(host.domain(2))])
      const serving = yield* Scope.fork(yield* Effect.scope)
      yield* VchanRpcServer.layer(Group, { service, clients: "any", window: 8192, grace: "20 seconds" }).pipe(
        Layer.provide([handlers, Logger.layer([])]),
        Layer.build,
        Effect.provideContext(one),
        Scope.provide(serving)
      )
      const { ended, said } = yield* Effect.provideContext(run(1), two)
      yield* until("all that the client does", () => said().has("pong"))
      yield* Scope.close(serving, Exit.void)
      yield* ended
      const result = (value: unknown, end = "Success") => ({ end, value, items: [], left: false })
      assert.deepStrictEqual(Object.fromEntries(said()), {
        value: result("grüß dich"),
        "long value": ["Success", 200_000],
        failure: result({ code: 7 }, "Failure"),
        defect: result({ name: "Error", message: "dead" }, "Defect"),
        unknown: result({ _tag: "UnknownMethod" }, "Refusal"),
        stream: ["End", 20_000, 200_010_000],
        interrupted: result({ _tag: "Interrupted" }, "Refusal"),
        late: result({ _tag: "DeadlineExceeded", allowedMillis: 20 }, "Refusal"),
        discarded: result(null, "End"),
        headers: result("you are me"),
        upload: result(199_990_000),
        "both ways": ["End", 20_000, 399_980_000],
        left: { ...result([0, 1, 2]), left: true },
        pong: true,
        "going away": null,
        closed: null
      })
    }).pipe(Effect.scoped))

describe(name, () => {
  if (spawnSync("python3", ["--version"]).status === 0) return suite()
  const reason = "needs python3: on Debian, sudo apt-get install python3"
  if (process.env.CI === "true") it(reason, () => assert.fail(reason))
  else console.warn(`skipped: ${name}: ${reason}`)
  it.skip(reason, () => undefined)
})
