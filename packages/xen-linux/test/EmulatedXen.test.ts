import { assert, describe, it } from "@effect/vitest"
import { EventChannel, GrantTable, ownDomid, pageSize, XenStore } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { Context, Effect, Exit, Layer, Schedule, Scope } from "effect"
import * as fs from "node:fs"
import { type Remote, remoteDomain, remoteHost } from "./remote.ts"
import { isEmpty, temporaryDirectory, testHost, untilStatus } from "./testHost.ts"

/** As a vchan has it: the server shares a page and rings a port, the client maps and binds; each asks to be mourned. */
const connect = Effect.fnUntraced(function*(server: Remote, client: Remote) {
  const serverPort = yield* server.bindUnbound(client.domid)
  const shared = yield* server.share({ domid: client.domid, count: 1, notify: { clearByte: 21, port: serverPort } })
  const clientPort = yield* client.bindInterdomain(server.domid, serverPort)
  const mapped = yield* client.map({
    domid: server.domid,
    references: shared.references,
    writable: true,
    notify: { clearByte: 20, port: clientPort }
  })
  yield* client.next("Event")
  yield* server.tell({ _tag: "Write", index: shared.index, offset: 20, value: 1 })
  yield* server.tell({ _tag: "Write", index: shared.index, offset: 21, value: 1 })
  return { shared, mapped, serverPort, clientPort }
})

describe("EmulatedXen, between processes", () => {
  it.live("bytes and events go both ways", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      assert.notStrictEqual(server.domid, client.domid)
      const { clientPort, mapped, serverPort, shared } = yield* connect(server, client)
      yield* client.tell({ _tag: "Write", index: mapped.index, offset: 100, value: 7 })
      yield* client.tell({ _tag: "Notify", port: clientPort })
      assert.deepStrictEqual(yield* server.next("Event"), { _tag: "Event", port: serverPort })
      assert.strictEqual(yield* server.tell({ _tag: "Read", index: shared.index, offset: 100 }), 7)
      yield* server.tell({ _tag: "Notify", port: serverPort })
      assert.deepStrictEqual(yield* client.next("Event"), { _tag: "Event", port: clientPort })
    }))

  it.live("when the client is killed, its live byte is cleared, its peer rung, and the host holds nothing of it", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      const { serverPort, shared } = yield* connect(server, client)
      yield* client.tell({ _tag: "StoreWrite", path: "data/key" })
      yield* client.tell({ _tag: "StoreWatch", path: "data" })
      yield* client.tell({ _tag: "StoreTransaction" })
      yield* untilStatus(directory, "its watch and transaction", (status) => status.watches === 1 && status.transactions === 1)
      yield* client.kill
      assert.deepStrictEqual(yield* server.next("Event"), { _tag: "Event", port: serverPort })
      assert.strictEqual(yield* server.tell({ _tag: "Read", index: shared.index, offset: 20 }), 0)
      const status = yield* untilStatus(directory, "the end of the client's domain", (status) => status.domains.length === 2)
      assert.deepInclude(status, {
        domains: [0, server.domid],
        processes: 1,
        grants: 1,
        mappings: 0,
        ports: 1,
        watches: 0,
        transactions: 0
      })
      assert.deepStrictEqual(fs.readdirSync(directory).filter((name) => name.startsWith("evt.")).length, 1)
    }))

  it.live("when the server is killed, its live byte is cleared, its peer rung, and its page lives while it is mapped", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      const { clientPort, mapped } = yield* connect(server, client)
      yield* server.kill
      assert.deepStrictEqual(yield* client.next("Event"), { _tag: "Event", port: clientPort })
      assert.strictEqual(yield* client.tell({ _tag: "Read", index: mapped.index, offset: 21 }), 0)
      assert.strictEqual(yield* client.tell({ _tag: "Read", index: mapped.index, offset: 20 }), 1)
      const status = yield* untilStatus(directory, "the end of the server's domain", (status) => status.domains.length === 2)
      assert.deepInclude(status, { domains: [0, client.domid], processes: 1, grants: 0, mappings: 1, ports: 1 })
      yield* client.kill
      yield* untilStatus(directory, "nothing", isEmpty)
    }))

  it.live("the peer of a process that was killed in the middle of ringing it hears of its end", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      const { serverPort } = yield* connect(server, client)
      // As one leaves it who has marked the port and does not get to write the event any more.
      const table = fs.openSync(`${directory}/ports`, "r+")
      fs.writeSync(table, Uint8Array.of(2), 0, 1, 16 * serverPort)
      fs.closeSync(table)
      yield* client.kill
      assert.deepStrictEqual(yield* server.next("Event"), { _tag: "Event", port: serverPort })
    }))

  it.live("a destroyed domain leaves its peers' bytes alone, and its own processes are told and cut off", () =>
    Effect.gen(function*() {
      const host = yield* testHost()
      const server = yield* remoteDomain(host.directory)
      const client = yield* remoteDomain(host.directory)
      const { mapped, shared } = yield* connect(server, client)
      assert.isTrue(yield* host.destroy(server.domid))
      assert.isFalse(yield* host.destroy(server.domid))
      assert.strictEqual(yield* client.tell({ _tag: "Read", index: mapped.index, offset: 21 }), 1)
      const failure = yield* Effect.flip(server.bindUnbound(client.domid))
      assert.strictEqual(failure.reason, "HostLost")
      assert.include(failure.message, host.directory)
      assert.include(failure.message, "domain was destroyed")
      yield* server.tell({ _tag: "Write", index: shared.index, offset: 50, value: 3 })
      assert.strictEqual(yield* client.tell({ _tag: "Read", index: mapped.index, offset: 50 }), 0)
    }))

  it.live("when the host is killed, calls and watches on both sides fail with HostLost, which names its directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const host = yield* remoteHost(directory)
      const one = yield* remoteDomain(directory)
      const two = yield* remoteDomain(directory)
      yield* connect(one, two)
      for (const side of [one, two]) {
        yield* side.tell({ _tag: "StoreWatch", path: "data" })
        yield* side.next("Watch")
      }
      yield* host.kill
      for (const side of [one, two]) {
        assert.deepInclude(yield* side.next("WatchFailed"), { reason: "HostLost" })
        for (const command of [{ _tag: "BindUnbound", domid: 0 }, { _tag: "Share", domid: 0, count: 1 }] as const) {
          const failure = yield* Effect.flip(side.tell(command))
          assert.strictEqual(failure.reason, "HostLost")
          assert.include(failure.message, directory)
          assert.include(failure.message, "start it again")
        }
        yield* side.close
        assert.strictEqual(yield* side.exited, 0)
      }
    }))

  it.live("a host that is stopped does not hold up the end of a process, and finds nothing of it when it goes on", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const host = yield* remoteHost(directory)
      const scope = yield* Scope.make()
      const xen = yield* Scope.provide(join(directory, 1), scope)
      const grants = Context.get(xen, GrantTable)
      const events = Context.get(xen, EventChannel)
      for (let at = 0; at < 20; at++) yield* Scope.provide(Effect.all([grants.share({ domid: 2, count: 1 }), events.bindUnbound(2)]), scope)
      host.process.kill("SIGSTOP")
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("60 seconds"))
      host.process.kill("SIGCONT")
      yield* untilStatus(directory, "nothing", isEmpty)
    }))

  it.live("a process ends by itself once its Layer is closed, and leaves nothing", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      yield* connect(server, client)
      for (const side of [server, client]) {
        yield* side.close
        assert.strictEqual(yield* side.exited, 0)
      }
      yield* untilStatus(directory, "nothing", isEmpty)
    }))

  it.live("a process that writes to pages mapped read-only dies of it, and reading them works", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const server = yield* remoteDomain(directory)
      const client = yield* remoteDomain(directory)
      const shared = yield* server.share({ domid: client.domid, count: 1 })
      yield* server.tell({ _tag: "Write", index: shared.index, offset: 5, value: 9 })
      const mapped = yield* client.map({ domid: server.domid, references: shared.references, writable: false })
      assert.strictEqual(yield* client.tell({ _tag: "Read", index: mapped.index, offset: 5 }), 9)
      yield* Effect.forkScoped(client.tell({ _tag: "Write", index: mapped.index, offset: 5, value: 1 }))
      assert.strictEqual(yield* client.exited, "SIGSEGV")
      assert.strictEqual(yield* server.tell({ _tag: "Read", index: shared.index, offset: 5 }), 9)
    }))

  it.live("processes of one domain share it, and it ends with the last of them", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const one = yield* remoteDomain(directory, 9)
      const two = yield* remoteDomain(directory, 9)
      assert.deepStrictEqual([one.domid, two.domid], [9, 9])
      yield* one.kill
      const left = yield* untilStatus(directory, "one process", (status) => status.processes === 1)
      assert.deepStrictEqual(left.domains, [0, 9])
      yield* two.kill
      yield* untilStatus(directory, "nothing", isEmpty)
    }))
})

const join = (directory: string, domid: number) => Layer.build(EmulatedXen.layer({ directory, domid }))

describe("EmulatedXen", () => {
  it.live("scattered references are mapped one after the other", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const grants = Context.get(yield* join(directory, 1), GrantTable)
      const other = Context.get(yield* join(directory, 2), GrantTable)
      const shared = yield* grants.share({ domid: 2, count: 8 })
      const bytes = new Uint8Array(shared.buffer)
      for (let page = 0; page < 8; page++) bytes.fill(page + 1, page * pageSize, (page + 1) * pageSize)
      const order = [3, 4, 5, 0, 7, 7, 2]
      const references = order.map((page) => shared.references[page] ?? 0)
      const mapped = new Uint8Array((yield* other.map({ domid: 1, references, writable: true })).buffer)
      assert.strictEqual(mapped.length, order.length * pageSize)
      order.forEach((page, index) => {
        assert.strictEqual(mapped[index * pageSize], page + 1)
        assert.strictEqual(mapped[(index + 1) * pageSize - 1], page + 1)
      })
    }))

  it.live("an ended buffer is empty, and touching it harms nobody", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const grants = Context.get(yield* join(directory, 1), GrantTable)
      const shared = yield* Effect.scoped(grants.share({ domid: 2, count: 2 }))
      const late = new Uint8Array(new ArrayBuffer(0))
      assert.strictEqual(shared.buffer.byteLength, late.length)
    }))

  it.live("the processes of a destroyed domain keep what they last saw in their pages, which go back to the host once they know", () =>
    Effect.gen(function*() {
      const host = yield* testHost()
      const blocks = () => fs.statSync(`${host.directory}/pages`).blocks
      const server = Context.get(yield* join(host.directory, 1), GrantTable)
      const client = Context.get(yield* join(host.directory, 2), GrantTable)
      const shared = yield* server.share({ domid: 2, count: 3 })
      new Uint8Array(shared.buffer).fill(7)
      const mapped = yield* client.map({ domid: 1, references: shared.references, writable: false })
      assert.isAbove(blocks(), 0)
      yield* host.destroy(1)
      yield* host.destroy(2)
      yield* Effect.sync(blocks).pipe(
        Effect.repeat({ until: (held) => held === 0, schedule: Schedule.spaced("5 millis") }),
        Effect.timeout("60 seconds")
      )
      for (const { buffer } of [shared, mapped]) assert.deepStrictEqual(new Set(new Uint8Array(buffer)), new Set([7]))
      yield* untilStatus(host.directory, "nothing", isEmpty)
    }))

  it.live("a thousand shares and mappings leave neither pages nor files behind", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const one = yield* join(directory, 1)
      const two = yield* join(directory, 2)
      const blocks = () => fs.statSync(`${directory}/pages`).blocks
      const descriptors = () => fs.readdirSync("/proc/self/fd").length
      const mappings = () => fs.readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes(directory)).length
      const cycle = Effect.gen(function*() {
        const port = yield* Context.get(one, EventChannel).bindUnbound(2)
        const shared = yield* Context.get(one, GrantTable).share({ domid: 2, count: 3, notify: { clearByte: 21, port: port.port } })
        const other = yield* Context.get(two, EventChannel).bindInterdomain(1, port.port)
        const mapped = yield* Context.get(two, GrantTable).map({ domid: 1, references: shared.references, writable: true })
        const bytes = new Uint8Array(mapped.buffer)
        assert.isTrue(bytes.every((byte) => byte === 0))
        bytes.fill(1)
        other.notifyUnsafe()
        port.notifyUnsafe()
      }).pipe(Effect.scoped)
      yield* cycle
      const before = { blocks: blocks(), descriptors: descriptors(), mappings: mappings() }
      yield* Effect.repeat(cycle, { times: 999 })
      assert.deepStrictEqual({ blocks: blocks(), descriptors: descriptors(), mappings: mappings() }, before)
    }))

  it.live("a closed Layer leaves neither descriptors nor mappings in a process that lives on", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const cycle = Effect.gen(function*() {
        const xen = yield* join(directory, 3)
        yield* Context.get(xen, EventChannel).bindUnbound(0)
        yield* Context.get(xen, GrantTable).share({ domid: 0, count: 1 })
      }).pipe(Effect.scoped)
      const held = () => ({
        descriptors: fs.readdirSync("/proc/self/fd").length,
        mappings: fs.readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes(directory)).length
      })
      yield* cycle
      yield* untilStatus(directory, "nothing", isEmpty)
      yield* Effect.sleep("50 millis")
      const before = held()
      yield* Effect.repeat(cycle, { times: 20 })
      yield* untilStatus(directory, "nothing", isEmpty)
      yield* Effect.sync(held).pipe(
        Effect.repeat({ until: (now) => now.descriptors === before.descriptors && now.mappings === before.mappings }),
        Effect.timeout("60 seconds")
      )
    }))

  it.live("where no host serves, joining fails and tells how to start one", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (const where of [directory, `${directory}/none`, `${directory}/${"x".repeat(100)}`]) {
        const error = yield* Effect.flip(Effect.scoped(join(where, 1)))
        assert.strictEqual(error.reason._tag, "HostMissing")
        assert.include(error.message, "start one with 'vchan host")
      }
    }))

  it.live("without a domid each process gets a domain of its own", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const domids = yield* Effect.all(
        [1, 2, 3].map(() => Effect.flatMap(Layer.build(EmulatedXen.layer({ directory })), (xen) => Effect.provide(ownDomid, xen)))
      )
      assert.strictEqual(new Set([0, ...domids]).size, 4)
    }))

  it.live("what still is in use when the Layer closes is released, and later calls fail with HostLost", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      const layerScope = yield* Scope.make()
      const xen = yield* Scope.provide(join(directory, 4), layerScope)
      const shared = yield* Context.get(xen, GrantTable).share({ domid: 0, count: 1 })
      const port = yield* Context.get(xen, EventChannel).bindUnbound(0)
      yield* Scope.close(layerScope, Exit.void)
      yield* untilStatus(directory, "nothing", isEmpty)
      port.notifyUnsafe()
      port.expectUnsafe()
      assert.strictEqual(new Uint8Array(shared.buffer)[0], 0)
      const error = yield* Effect.flip(Effect.scoped(Context.get(xen, EventChannel).bindUnbound(0)))
      assert.strictEqual(error.reason._tag, "HostLost")
      assert.strictEqual((yield* Effect.flip(Context.get(xen, XenStore).read("domid"))).reason._tag, "HostLost")
    }))
})
