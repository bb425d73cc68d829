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
interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({ value: Schema.Int, children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)) })
/** A value of each kind that the page lays out. */
const Kinds = Schema.Struct({
  text: Schema.String,
  yes: Schema.Boolean,
  nothing: Schema.Null,
  number: Schema.Number,
  integer: Schema.Int,
  big: Schema.BigInt,
  data: Schema.Uint8Array,
  any: Schema.Json,
  kind: Schema.Literal("all"),
  seven: Schema.Literal(7),
  true: Schema.Literal(true),
  empties: Schema.Array(Schema.Null),
  pair: Schema.Tuple([Schema.Boolean, Schema.optionalKey(Schema.Int)]),
  some: Schema.TupleWithRest(Schema.Tuple([Schema.String]), [Schema.Number]),
  maybe: Schema.optionalKey(Schema.Int),
  counts: Schema.Record(Schema.String, Schema.Int),
  open: Schema.StructWithRest(Schema.Struct({ known: Schema.String }), [
    Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Int]))
  ]),
  one: Schema.Union([Schema.String, Schema.Int, Schema.Struct({ left: Schema.optionalKey(Schema.Boolean), right: Schema.String })]),
  tree: Tree
})
const Group = RpcGroup.make(
  Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Fail", { payload: Failed, error: Failed }),
  Rpc.make("Die"),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait"),
  Rpc.make("Sum", { payload: { numbers: Numbers }, success: Schema.Int }),
  Rpc.make("Double", { payload: Numbers, success: Schema.Int, stream: true }),
  Rpc.make("First", { payload: { numbers: Numbers, count: Schema.Int }, success: Schema.Array(Schema.Int) }),
  Rpc.make("Kinds", { payload: Kinds, success: Kinds }),
  Rpc.make("Trees", { payload: RpcSchema.Stream(Tree, Schema.Never), success: Tree, stream: true }),
  Rpc.make("Long", { payload: { items: Schema.Int, length: Schema.Int }, success: Schema.String, stream: true })
)

const handlers = Group.toLayer({
  Say: ({ text }, { headers }) => Effect.succeed(text === "name" ? `you are ${headers["name"]}` : text),
  Fail: Effect.fail,
  Die: () => Effect.die(new Error("dead")),
  Count: ({ to }) => Stream.range(1, to),
  Wait: () => Effect.never,
  Sum: ({ numbers }) => Stream.runFold(numbers, () => 0, (sum, number) => sum + number),
  Double: (numbers) => Stream.map(numbers, (number) => number * 2),
  First: ({ count, numbers }) => Stream.runCollect(Stream.take(numbers, count)),
  Kinds: Effect.succeed,
  Trees: (trees) => trees,
  Long: ({ items, length }) => Stream.map(Stream.range(1, items), () => "x".repeat(length))
})

const service = "python"
const name = "a client in plain Python, made from docs/PROTOCOL.md"

/** The program, with its stdin and stdout carried over a vchan to that domain. */
const run = Effect.fnUntraced(function*(domid: number, codec: "binary" | "json") {
  const vchan = yield* Listener.connect({ domid, path: servicePath(domid, service) })
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("python3", ["-B", fileURLToPath(new URL("client.py", import.meta.url)), codec], { stdio: "pipe" })),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  let told = ""
  let sent = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => told += text)
  const written = Stream.fromAsyncIterable<Uint8Array, unknown>(child.stdout, (error) => error)
  yield* Effect.forkScoped(Stream.runForEach(written, (bytes) => {
    sent += Buffer.from(bytes).toString("latin1")
    return vchan.write(bytes)
  }))
  const read = Stream.runForEach(vchan.stream, (bytes) => Effect.sync(() => void child.stdin.write(bytes.slice())))
  yield* Effect.forkScoped(Effect.ensuring(read, Effect.sync(() => void child.stdin.end())))
  return {
    /** What it has told, by its names. */
    said: () =>
      new Map(told.split("\n").slice(0, -1).map((line): [string, unknown] => line.startsWith("[") ? JSON.parse(line) : [line, null])),
    /** All that it has sent, a sign for each byte. */
    sent: () => sent,
    ended: until("the client's end", () => child.exitCode !== null || child.signalCode !== null)
  }
})

const suite = () => {
  it("sends and takes every vector of the page, frames and values", () => {
    const [program, page] = ["vectors.py", "../../docs/PROTOCOL.md"].map((path) => fileURLToPath(new URL(path, import.meta.url)))
    const { status, stderr, stdout } = spawnSync("python3", ["-B", String(program), String(page)], { encoding: "utf8" })
    assert.strictEqual(status, 0, stderr)
    const { frames, values } = JSON.parse(stdout)
    assert.isAtLeast(frames, 36)
    assert.isAtLeast(values, 14)
  })

  it.live("makes calls of each kind in either codec, streams both ways, and takes leave of a server that ends", () =>
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
      const clients = yield* Effect.provideContext(Effect.all([run(1, "binary"), run(1, "json")]), two)
      for (const { said } of clients) yield* until("all that the client does", () => said().has("pong") || said().has("closed"))
      yield* Scope.close(serving, Exit.void)
      for (const { ended } of clients) yield* ended
      const [binary = new Map(), json = new Map()] = clients.map(({ said }) => said())
      const { "in binary": inBinary, fingerprints, ...told } = Object.fromEntries(binary)
      const { "in binary": inBinaryOfJson, fingerprints: _, ...toldInJson } = Object.fromEntries(json)
      const names = [...Group.requests.keys()].toSorted()
      assert.deepStrictEqual(Object.keys(fingerprints[0]).toSorted(), names)
      assert.deepStrictEqual(fingerprints[0], fingerprints[1])
      assert.deepStrictEqual([inBinary, inBinaryOfJson], [names, []])
      assert.deepStrictEqual(clients.map(({ sent }) => sent().includes(`{"text":"unheard"}`)), [false, true])
      const result = (value: unknown, end = "Success") => ({ end, value, items: [], left: false })
      assert.deepStrictEqual(told, {
        value: result("grüß dich"),
        "long value": ["Success", 200_000],
        "every kind": ["Success", true, told["every kind"][2]],
        "kinds left out": ["Success", true, told["kinds left out"][2]],
        failure: result({ code: 7 }, "Failure"),
        defect: result({ name: "Error", message: "dead" }, "Defect"),
        unknown: result({ _tag: "UnknownMethod" }, "Refusal"),
        stream: ["End", 20_000, 200_010_000],
        "stream of long items": ["End", [100_000, 100_000, 100_000]],
        interrupted: result({ _tag: "Interrupted" }, "Refusal"),
        "beside a stream": result("beside"),
        "interrupted stream": ["Refusal", { _tag: "Interrupted" }],
        late: result({ _tag: "DeadlineExceeded", allowedMillis: 20 }, "Refusal"),
        discarded: result(null, "End"),
        headers: result("you are me"),
        upload: result(199_990_000),
        "both ways": ["End", 20_000, 399_980_000],
        left: { ...result([0, 1, 2]), left: true },
        "trees both ways": ["End", true],
        pong: true,
        "going away": null,
        closed: null
      })
      assert.deepStrictEqual(toldInJson, told)
    }).pipe(Effect.scoped))
}

describe(name, () => {
  if (spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).status === 0) return suite()
  const reason = "needs python3 3.10 or later: on Debian, sudo apt-get install python3"
  if (process.env.CI === "true") it(reason, () => assert.fail(reason))
  else console.warn(`skipped: ${name}: ${reason}`)
  it.skip(reason, () => undefined)
})
