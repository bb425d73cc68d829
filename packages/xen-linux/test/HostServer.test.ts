import { assert, describe, it } from "@effect/vitest"
import { GrantTable, XenStore, XenStoreWire } from "@vchan/xen"
import { EmulatedXen, HostControl, HostServer } from "@vchan/xen-linux"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as fs from "node:fs"
import { rawSocket } from "./rawSocket.ts"
import { remoteDomain, remoteHost } from "./remote.ts"
import { isEmpty, temporaryDirectory, testHost, untilStatus } from "./testHost.ts"

describe("HostServer's directory", () => {
  it.live("is made private, and removed with all in it when the host that made it ends", () =>
    Effect.gen(function*() {
      const directory = `${yield* temporaryDirectory}/host`
      yield* Effect.scoped(Effect.gen(function*() {
        const host = yield* HostServer.make({ directory })
        assert.strictEqual(host.directory, directory)
        assert.strictEqual(fs.statSync(directory).mode & 0o777, 0o700)
        yield* Layer.build(EmulatedXen.layer({ directory }))
      }))
      assert.isFalse(fs.existsSync(directory))
    }))

  it.live("that was there before stays, and so do files in it that are no host's", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      fs.writeFileSync(`${directory}/notes`, "mine")
      yield* Effect.scoped(HostServer.make({ directory }))
      assert.deepStrictEqual(fs.readdirSync(directory), ["notes"])
    }))

  it.live("serves one host: a second one is refused, and the first goes on", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const error = yield* Effect.flip(Effect.scoped(HostServer.make({ directory })))
      assert.strictEqual(error.reason._tag, "HostRunning")
      assert.include(error.message, directory)
      yield* Layer.build(EmulatedXen.layer({ directory }))
      assert.strictEqual((yield* HostControl.status({ directory })).processes, 1)
    }))

  it.live("can be taken over from a killed host, whose files are cleaned away", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const killed = yield* remoteHost(directory)
      const domain = yield* remoteDomain(directory)
      yield* domain.share({ domid: 0, count: 5 })
      yield* killed.kill
      assert.isAbove(fs.readdirSync(directory).length, 3)
      const host = yield* HostServer.make({ directory })
      assert.isTrue(isEmpty(yield* host.status))
      assert.deepStrictEqual(fs.readdirSync(directory).sort(), ["control", "pages", "ports", "xs.0"])
      yield* Layer.build(EmulatedXen.layer({ directory }))
    }))

  it.live("is refused where others may enter it, where it is no directory, and where it belongs to somebody else", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      fs.mkdirSync(`${base}/open`)
      fs.chmodSync(`${base}/open`, 0o755)
      fs.writeFileSync(`${base}/file`, "")
      fs.mkdirSync(`${base}/private`, { mode: 0o700 })
      fs.symlinkSync(`${base}/private`, `${base}/link`)
      // Root can give a directory away; for anybody else, root's own will do.
      const foreign = process.getuid?.() === 0 ? `${base}/foreign` : "/root"
      if (foreign !== "/root") {
        fs.mkdirSync(foreign, { mode: 0o700 })
        fs.chownSync(foreign, 65534, 65534)
      }
      for (const directory of [`${base}/open`, `${base}/file`, `${base}/link`, foreign]) {
        const error = yield* Effect.flip(Effect.scoped(HostServer.make({ directory })))
        assert.strictEqual(error.reason._tag, "DirectoryRefused")
        assert.include(error.message, directory)
      }
    }))

  it.live("that cannot be made is a SystemRefusal that tells what to name instead", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const error = yield* Effect.flip(Effect.scoped(HostServer.make({ directory: `${base}/missing/host` })))
      assert.strictEqual(error.reason._tag, "SystemRefusal")
      assert.include(error.message, "ENOENT")
      assert.include(error.message, "VCHAN_HOST")
    }))

  it.live("may be as long as unix sockets allow, and not a byte longer", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const fitting = `${base}/${"x".repeat(107 - base.length - "//xs.32751".length)}`
      yield* Effect.scoped(HostServer.make({ directory: fitting }))
      const error = yield* Effect.flip(Effect.scoped(HostServer.make({ directory: `${fitting}x` })))
      assert.strictEqual(error.reason._tag, "DirectoryTooLong")
      assert.include(error.message, "107 bytes")
    }))
})

describe("HostServer's control socket", () => {
  it.live("carries the protocol that docs/EMULATED-HOST.md shows", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* rawSocket(`${directory}/control`)
      const client = yield* rawSocket(`${directory}/control`)
      const talk = Effect.fnUntraced(function*(side: typeof server, request: string, answer: string) {
        yield* side.send(`${request}\n`)
        assert.strictEqual(yield* side.line, answer)
      })
      yield* talk(server, "1 join", "1 ok 1 1")
      yield* talk(client, "1 join 7", "1 ok 7 2")
      yield* talk(server, "2 bind-unbound 7", "2 ok 1")
      yield* talk(server, "3 share 7 2 21:1", "3 ok 8")
      yield* talk(client, "2 bind-interdomain 1 1", "2 ok 2")
      yield* talk(client, "3 map 1 20:2 8 9", "3 ok 1")
      yield* talk(client, "4 end-map 1", "4 ok")
      yield* talk(client, "5 unbind 2", "5 ok")
      yield* talk(server, "4 end-share 8", "4 ok")
      yield* talk(server, "5 leave", "5 ok")
      yield* talk(client, "6 leave", "6 ok")
      yield* talk(
        server,
        "6 status",
        "6 ok {\"domains\":[0],\"processes\":0,\"grants\":0,\"mappings\":0,\"ports\":0,\"nodes\":6,\"watches\":0,\"transactions\":0}"
      )
    }))

  it.live("refuses what cannot be granted, and goes on", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost({ limits: { grantsPerDomain: 4, portsPerDomain: 1 } })
      const { line, send } = yield* rawSocket(`${directory}/control`)
      const cases = [
        ["1 share 0 1 -", "1 error EINVAL 0"],
        ["2 join 32752", "2 error EINVAL 0"],
        ["3 join 3", "3 ok 3 1"],
        ["4 join 3", "4 error EINVAL 0"],
        ["5 dance", "5 error ENOSYS 0"],
        ["6 share 0 0 -", "6 error EINVAL 0"],
        ["7 share 0 5 -", "7 error GrantsExhausted 4"],
        ["8 share 0 1 4096:1", "8 error EINVAL 0"],
        ["9 share 0 99999999999 -", "9 error EINVAL 0"],
        ["10 map 0 - 8", "10 error NoSuchGrant 8"],
        ["11 map 0 -", "11 error EINVAL 0"],
        ["12 bind-interdomain 0 77", "12 error NoSuchPort 77"],
        ["13 bind-unbound 0", "13 ok 1"],
        ["14 bind-unbound 0", "14 error PortsExhausted 1"],
        ["15 unbind 55", "15 ok"],
        ["16 end-share 55", "16 ok"],
        ["17 end-map 55", "17 ok"],
        ["18 destroy 0", "18 error EINVAL 0"],
        ["19 destroy 5", "19 error EINVAL 0"],
        ["20 share x 1 -", "20 error EINVAL 0"]
      ]
      for (const [request, answer = ""] of cases) {
        yield* send(`${request}\n`)
        const got = yield* line
        assert.strictEqual(got.slice(0, answer.length), answer, request)
      }
    }))

  it.live("drops a connection that sends no protocol, with all it held, and nobody else", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const bystander = yield* rawSocket(`${directory}/control`)
      yield* bystander.send("1 join\n")
      yield* bystander.line
      for (const garbage of ["hello\n", "\n", "1\n", "-1 join\n", "4294967296 join\n", new Uint8Array(64).fill(0xff), "x".repeat(70_000)]) {
        const bad = yield* rawSocket(`${directory}/control`)
        yield* bad.send("1 join\n")
        yield* bad.line
        yield* bad.send("2 share 0 3 -\n")
        yield* bad.line
        yield* bad.send(typeof garbage === "string" ? garbage : Buffer.concat([garbage, Buffer.from("\n")]))
        yield* bad.closed
      }
      const status = yield* untilStatus(directory, "the bystander alone", (status) => status.processes === 1)
      assert.strictEqual(status.grants, 0)
      yield* bystander.send("2 bind-unbound 0\n")
      assert.strictEqual(yield* bystander.line, "2 ok 1")
    }))

  it.live("a client that reads none of its answers waits for itself alone", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const deaf = yield* rawSocket(`${directory}/control`)
      deaf.socket.pause()
      yield* deaf.send("1 status\n".repeat(50_000))
      assert.strictEqual((yield* HostControl.status({ directory })).processes, 0)
    }))

  it.live("clients that read nothing do not hold up the host's end", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const host = yield* Scope.make()
      yield* Scope.provide(HostServer.make({ directory }), host)
      const deaf = yield* rawSocket(`${directory}/control`)
      deaf.socket.pause()
      yield* deaf.send("1 join\n")
      yield* deaf.send("2 status\n".repeat(50_000))
      yield* rawSocket(`${directory}/xs.0`)
      yield* untilStatus(directory, "the deaf one", (status) => status.processes === 1)
      yield* Effect.timeout(Scope.close(host, Exit.void), "60 seconds")
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    }))

  it.live("HostControl destroys a domain, but not domain 0 nor one that is not there", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* Layer.build(EmulatedXen.layer({ directory, domid: 4 }))
      yield* HostControl.destroy({ directory, domid: 4 })
      assert.deepStrictEqual((yield* HostControl.status({ directory })).domains, [0])
      for (const domid of [0, 4]) {
        const error = yield* Effect.flip(HostControl.destroy({ directory, domid }))
        assert.strictEqual(error._tag, "SystemRefusal")
      }
      // The number is free again, and its next domain has nothing of the last.
      const next = yield* Layer.build(EmulatedXen.layer({ directory, domid: 4 }))
      assert.strictEqual(yield* Context.get(next, XenStore).read("domid"), "4")
    }))
})

describe("HostServer's store sockets", () => {
  const watch = (token: string) =>
    XenStoreWire.encode({
      type: XenStoreWire.Operation.WATCH,
      requestId: 1,
      transactionId: 0,
      payload: XenStoreWire.encodeStrings(["/local/domain/1/data", token])
    })

  it.live("a client that reads nothing loses its connection, and others go on", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const deaf = yield* rawSocket(`${directory}/xs.0`)
      deaf.socket.pause()
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 })), XenStore)
      for (let index = 0; index < 50; index++) yield* deaf.send(watch(`${index}${"t".repeat(3000)}`))
      yield* untilStatus(directory, "its watches", (status) => status.watches === 50)
      yield* store.write("data/key", "value").pipe(
        Effect.andThen(HostControl.status({ directory })),
        Effect.repeat({ until: (status) => status.watches === 0 }),
        Effect.timeout("60 seconds")
      )
      assert.strictEqual(yield* store.read("data/key"), "value")
    }))

  it.live("a client that is busy for a while is not cut off by another's flood of changes", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 }))
      const busy = yield* rawSocket(`${directory}/xs.0`)
      yield* busy.send(watch("token"))
      yield* untilStatus(directory, "its watch", (status) => status.watches === 1)
      busy.socket.pause()
      const flood = yield* rawSocket(`${directory}/xs.1`)
      const change = (index: number) => {
        const payload = XenStoreWire.encodeWrite(`data/${index % 500}`, new Uint8Array(0))
        return XenStoreWire.encode({ type: XenStoreWire.Operation.WRITE, requestId: index, transactionId: 0, payload })
      }
      yield* flood.send(Buffer.concat(Array.from({ length: 50_000 }, (_, index) => change(index))))
      flood.socket.resume()
      yield* Effect.sleep("1 second")
      busy.socket.resume()
      yield* Effect.sleep("100 millis")
      assert.isFalse(busy.socket.closed)
      assert.strictEqual((yield* HostControl.status({ directory })).watches, 1)
    }))

  it.live("a client that announces too long a packet loses its connection, and others go on", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const store = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 })), XenStore)
      const bad = yield* rawSocket(`${directory}/xs.1`)
      yield* bad.send(watch("token"))
      yield* untilStatus(directory, "its watch", (status) => status.watches === 1)
      yield* bad.send(new Uint8Array(16).fill(0xff))
      yield* bad.closed
      yield* untilStatus(directory, "no watch", (status) => status.watches === 0)
      assert.strictEqual(yield* store.read("domid"), "1")
    }))

  it.live("the limits and quotas that the host was given are kept", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost({ limits: { grantsPerDomain: 2 }, quotas: { nodes: 5 } })
      const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 }))
      const error = yield* Effect.flip(Context.get(xen, GrantTable).share({ domid: 0, count: 3 }))
      assert.strictEqual(error.reason._tag, "GrantsExhausted")
      assert.include(error.message, "limit of 2")
      const writes = Array.from({ length: 6 }, (_, index) => Context.get(xen, XenStore).write(`data/${index}`, ""))
      const refused = yield* Effect.flip(Effect.all(writes))
      assert.strictEqual(refused.code, "ENOSPC")
    }))
})
