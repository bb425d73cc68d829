import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { VchanRpcTest } from "@vchan/rpc"
import { Deferred, Effect, Fiber, type Scope, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { heardHost } from "../echo/processes.ts"
import { Facts, Files, ReadOnly } from "./contract.ts"
import { download, type Progress, upload } from "./copy.ts"
import { filesIn } from "./handlers.ts"

const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(`${tmpdir()}/file-copy-`)),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
)

/** A served directory, the files beside it, and a client. */
const world = Effect.gen(function*() {
  const directory = yield* temporaryDirectory
  const served = `${directory}/served`
  fs.mkdirSync(served)
  const layer = filesIn(served, [2])
  const files = yield* Effect.provide(VchanRpcTest.makeClient(Files), layer)
  return { served, target: `${directory}/copy`, files, layer }
})

/** A checksum that no content of these tests has. */
const sha256 = "0".repeat(64)

const unused = { Begun: () => Effect.die("unused"), Write: () => Effect.die("unused") }

const content = randomBytes(3_000_000)
const nothing = () => {}

/** Interrupts a copy when it has come so far. */
const interruptedAfter = Effect.fnUntraced(function*<A, E>(bytes: number, copy: (progress: Progress) => Effect.Effect<A, E>) {
  const reached = yield* Deferred.make<void>()
  const copying = yield* Effect.forkChild(copy((done) => {
    if (done > bytes) Deferred.doneUnsafe(reached, Effect.void)
  }))
  yield* Deferred.await(reached)
  yield* Fiber.interrupt(copying)
})

const tagOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) => Effect.map(Effect.flip(effect), ({ _tag }) => _tag)

describe("a served directory", () => {
  it.live("gives what is in it, from any offset on", () =>
    Effect.gen(function*() {
      const { files, served } = yield* world
      fs.writeFileSync(`${served}/some file.bin`, content)
      assert.strictEqual((yield* files.Stat({ name: "some file.bin" })).size, content.length)
      const pieces = yield* Stream.runCollect(files.Read({ name: "some file.bin", from: 1_000_000 }))
      assert.isTrue(content.subarray(1_000_000).equals(Buffer.concat(pieces)))
      assert.deepStrictEqual(yield* Stream.runCollect(files.Read({ name: "some file.bin", from: 1e12 })), [])
    }).pipe(Effect.scoped))

  it.live("gives nothing that is not: no paths, no links, no pipes, no directories", () =>
    Effect.gen(function*() {
      const { files, served } = yield* world
      fs.writeFileSync(`${served}/../secret`, "secret")
      fs.symlinkSync("../secret", `${served}/link`)
      fs.symlinkSync("..", `${served}/up`)
      fs.mkdirSync(`${served}/directory`)
      execFileSync("mkfifo", [`${served}/pipe`])
      for (const name of ["link", "up", "directory", "pipe", "absent"]) {
        assert.strictEqual(yield* tagOf(files.Stat({ name })), "NoSuchFile", name)
        assert.strictEqual(yield* tagOf(Stream.runDrain(files.Read({ name, from: 0 }))), "NoSuchFile", name)
      }
      // An honest client's own schema refuses these: what a hostile one sends meets the server's, which is the same.
      for (const name of ["", ".", "..", "../secret", "up/secret", "/etc/passwd", "a/../../secret", ".hidden", "a\0b", "x".repeat(101)]) {
        assert.isTrue((yield* Effect.exit(files.Stat({ name })))._tag === "Failure", name)
      }
    }).pipe(Effect.scoped))
})

describe("a copy from a served directory", () => {
  it.live("is the file, also an empty one", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      for (const bytes of [content, Buffer.alloc(0)]) {
        fs.writeFileSync(`${served}/file`, bytes)
        yield* download(files, "file", target, nothing)
        assert.isTrue(fs.readFileSync(target).equals(bytes))
        assert.isFalse(fs.existsSync(`${target}.part`))
      }
    }).pipe(Effect.scoped))

  it.live("that was interrupted goes on where it was", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      fs.writeFileSync(`${served}/file`, content)
      yield* interruptedAfter(1_000_000, (progress) => download(files, "file", target, progress))
      assert.isFalse(fs.existsSync(target))
      const steps: Array<number> = []
      yield* download(files, "file", target, (done) => steps.push(done))
      assert.isAbove(steps[0] ?? 0, 500_000)
      assert.isTrue(fs.readFileSync(target).equals(content))
    }).pipe(Effect.scoped))

  it.live("of a file that became another meanwhile is thrown away", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      fs.writeFileSync(`${served}/file`, content)
      fs.writeFileSync(`${target}.part`, "the beginning of another file")
      assert.strictEqual(yield* tagOf(download(files, "file", target, nothing)), "NotTheFile")
      assert.isFalse(fs.existsSync(target))
      yield* download(files, "file", target, nothing)
      assert.isTrue(fs.readFileSync(target).equals(content))
    }).pipe(Effect.scoped))

  it.live("of a server that does not stop to send does not fill the disk", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const files = yield* VchanRpcTest.makeClient(Files).pipe(Effect.provide(Files.toLayer({
        ...unused,
        Stat: () => Effect.succeed(new Facts({ size: 100_000, sha256 })),
        Read: () => Stream.forever(Stream.make(new Uint8Array(60_000)))
      })))
      assert.strictEqual(yield* tagOf(download(files, "file", `${directory}/copy`, nothing)), "NotTheFile")
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    }).pipe(Effect.scoped))
})

describe("a copy to a served directory", () => {
  it.live("is the file, also an empty one, and replaces what was there", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      for (const bytes of [content, Buffer.alloc(0)]) {
        fs.writeFileSync(target, bytes)
        yield* upload(files, target, "file", nothing)
        assert.isTrue(fs.readFileSync(`${served}/file`).equals(bytes))
        assert.deepStrictEqual(fs.readdirSync(served), ["file"])
      }
    }).pipe(Effect.scoped))

  it.live("that was interrupted goes on where it was", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      fs.writeFileSync(target, content)
      yield* interruptedAfter(1_000_000, (progress) => upload(files, target, "file", progress))
      assert.isFalse(fs.existsSync(`${served}/file`))
      const steps: Array<number> = []
      yield* upload(files, target, "file", (done) => steps.push(done))
      assert.isAbove(steps[0] ?? 0, 500_000)
      assert.isTrue(fs.readFileSync(`${served}/file`).equals(content))
    }).pipe(Effect.scoped))

  it.live("is for those who may write", () =>
    Effect.gen(function*() {
      const { layer, served, target } = yield* world
      const stranger = yield* Effect.provide(VchanRpcTest.makeClient(Files, { caller: 9 }), layer)
      fs.writeFileSync(target, content)
      assert.deepStrictEqual(yield* Effect.flip(upload(stranger, target, "file", nothing)), new ReadOnly({ domid: 9 }))
      const bare = stranger.Write({ name: "file", facts: new Facts({ size: 1, sha256 }), rest: Stream.make(new Uint8Array(1)) })
      assert.deepStrictEqual(yield* Effect.flip(bare), new ReadOnly({ domid: 9 }))
      assert.deepStrictEqual(fs.readdirSync(served), [])
    }).pipe(Effect.scoped))

  it.live("of a client that sends more than it told, or something else, leaves nothing", () =>
    Effect.gen(function*() {
      const { files, served } = yield* world
      const facts = new Facts({ size: 100_000, sha256 })
      for (const rest of [Stream.forever(Stream.make(new Uint8Array(60_000))), Stream.make(new Uint8Array(100_000)), Stream.empty]) {
        assert.strictEqual(yield* tagOf(files.Write({ name: "file", facts, rest })), "NotTheFile")
        assert.deepStrictEqual(fs.readdirSync(served), [])
      }
    }).pipe(Effect.scoped))

  it.live("follows no link out of it", () =>
    Effect.gen(function*() {
      const { files, served, target } = yield* world
      fs.writeFileSync(target, content)
      fs.writeFileSync(`${served}/../secret`, "secret")
      fs.symlinkSync("../secret", `${served}/file`)
      fs.symlinkSync("../secret", `${served}/.other.2.part`)
      yield* upload(files, target, "file", nothing)
      assert.strictEqual(yield* tagOf(upload(files, target, "other", nothing)), "ReadOnly")
      assert.strictEqual(fs.readFileSync(`${served}/../secret`, "utf8"), "secret")
      assert.isTrue(fs.readFileSync(`${served}/file`).equals(content))
    }).pipe(Effect.scoped))
})

describe("the example", () => {
  const file = (name: string): string => `${import.meta.dirname}/${name}.ts`

  const bounded = <A, E, R>(test: Effect.Effect<A, E, R>) => test.pipe(Effect.timeout("100 seconds"), Effect.provide(NodeServices.layer))

  it.live("copies, is killed on the way, copies the rest, and copies it back", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, host } = yield* heardHost
      const demo = yield* host.start("demo", file("demo"))
      yield* hear(/disk.img is in .*, and its checksum is right/)
      yield* hear(/is in back.img, and its checksum is right/)
      assert.strictEqual(yield* demo.exitCode, 0)
    }))))

  it.live("says in one line why there is no copy, and ends with 1", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, host } = yield* heardHost
      yield* host.start("guest", file("guest"), [yield* temporaryDirectory], { VCHAN_DOMID: "1" })
      const wrong = [
        [["1", "get", "absent"], /^client: no file absent is served$/],
        [["1", "get", "../absent"], /^client: Expected a file's name, without a path/],
        [["1", "put", "/absent"], /^client: ENOENT: /],
        [["1", "put", file("demo")], /^client: domain [0-9]+ may not write here$/],
        [["1"], /^client: client.ts <domid of the server> /]
      ] as const
      for (const [words, why] of wrong) {
        const client = yield* host.start("client", file("client"), words)
        yield* hear(why)
        assert.strictEqual(yield* client.exitCode, 1)
      }
    }))))

  it.live("a server that is killed and started again is gone on with", () =>
    bounded(Effect.scoped(Effect.gen(function*() {
      const { hear, host } = yield* heardHost
      const served = yield* temporaryDirectory
      fs.writeFileSync(`${served}/file`, Buffer.concat(Array.from({ length: 33 }, () => content)))
      const guest = host.start("guest", file("guest"), [served], { VCHAN_DOMID: "1" })
      const first = yield* guest
      const copying = yield* host.start("client", file("client"), ["1", "get", "file", `${served}/copy`])
      yield* hear(/[1-9]% of/)
      yield* first.kill
      assert.isFalse(fs.existsSync(`${served}/copy`))
      yield* guest
      yield* hear(/its checksum is right/)
      assert.strictEqual(yield* copying.exitCode, 0)
      assert.isTrue(fs.readFileSync(`${served}/copy`).equals(fs.readFileSync(`${served}/file`)))
    }))))
})
