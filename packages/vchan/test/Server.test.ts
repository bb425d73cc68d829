import { assert, describe, it } from "@effect/vitest"
import { type MemoryXen, XenStore } from "@vchan/xen"
import { Context, Effect, Exit, Fiber, Scope } from "effect"
import { Handshake } from "../src/index.ts"
import { as, clientDomid, joined, leased, onHost, path, pattern, process, rawPage, readExactly, reasonOf, serverDomid } from "./world.ts"

const KiB = 1024

const open = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen, options?: Partial<Handshake.ServerOptions>) {
  const serverProcess = yield* process(host, serverDomid)
  const clientProcess = yield* process(host, clientDomid)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const server = yield* Scope.provide(as(serverProcess)(Handshake.server({ domid: clientDomid, path, ...options })), scope)
  return { server, serverProcess, clientProcess, closeServer: Scope.close(scope, Exit.void) }
})

describe("before a client", () => {
  it.live("the server may write, and the client that comes reads it", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      const vchan = yield* server.open
      yield* vchan.write(pattern(1000))
      const client = yield* joined(clientProcess)
      assert.deepStrictEqual(yield* readExactly(client.vchan, 1000), pattern(1000))
      yield* client.vchan.write(pattern(10))
      assert.deepStrictEqual(yield* readExactly(vchan, 10), pattern(10))
    })))

  it.live("an interrupted accept leaves the turn to the next", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      for (let times = 0; times < 3; times++) assert.isTrue((yield* Effect.timeoutOption(server.accept, "20 millis"))._tag === "None")
      yield* Effect.all([server.accept, joined(clientProcess)], { concurrency: 2 })
    })))
})

describe("a later client on the same server ring", () => {
  it.live("is accepted after the former one left, and the indexes go on", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host, { leftMin: KiB, rightMin: KiB })
      const { view } = yield* rawPage(clientProcess)
      for (let times = 1; times <= 5; times++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
          yield* client.vchan.write(pattern(700, times))
          assert.deepStrictEqual(yield* readExactly(vchan, 700), pattern(700, times))
          yield* vchan.write(pattern(300, times))
          assert.deepStrictEqual(yield* readExactly(client.vchan, 300), pattern(300, times))
          yield* client.close
          assert.strictEqual((yield* vchan.ended).reason._tag, "PeerGone")
        }))
        assert.deepStrictEqual([0, 4, 8, 12].map((at) => view.getUint32(at, true)), [700, 700, 300, 300].map((each) => each * times))
        assert.strictEqual(view.getUint8(20), 2)
      }
    })))

  it.live("reads nothing that was meant for the former one, and the server nothing that it left", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      yield* Effect.scoped(Effect.gen(function*() {
        const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
        yield* client.vchan.write(pattern(999))
        yield* vchan.write(pattern(888))
        yield* client.close
        yield* vchan.ended
      }))
      const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
      assert.deepStrictEqual([vchan.availableUnsafe(), client.vchan.availableUnsafe()], [0, 0])
      yield* client.vchan.write(pattern(5))
      yield* vchan.write(pattern(6))
      assert.deepStrictEqual(yield* readExactly(vchan, 5), pattern(5))
      assert.deepStrictEqual(yield* readExactly(client.vchan, 6), pattern(6))
    })))

  it.live("waits its turn while the former one's connection is being drained", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      const first = yield* leased(server.open)
      const one = yield* joined(clientProcess)
      yield* one.vchan.write(pattern(100))
      yield* one.close
      yield* first.vchan.ended
      const two = yield* joined(clientProcess)
      yield* two.vchan.write(pattern(50, 1000))
      const accepting = yield* Effect.forkChild(leased(server.accept))
      yield* Effect.sleep("20 millis")
      assert.isUndefined(accepting.pollUnsafe())
      assert.deepStrictEqual(yield* readExactly(first.vchan, 100), pattern(100))
      assert.strictEqual(yield* reasonOf(first.vchan.readInto(new Uint8Array(1))), "PeerGone")
      yield* first.close
      const second = yield* Fiber.join(accepting)
      assert.deepStrictEqual(yield* readExactly(second.vchan, 50), pattern(50, 1000))
    })))

  it.live("that comes while the server is still about to part from the former one gets nothing of that one's", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      const first = yield* leased(server.open)
      const one = yield* joined(clientProcess)
      yield* one.vchan.write(pattern(100))
      yield* first.vchan.write(pattern(888))
      const { view } = yield* rawPage(clientProcess)
      yield* one.close
      // As one leaves it that was killed before it read.
      view.setUint32(8, 0, true)
      const joining = yield* Effect.forkChild(joined(clientProcess))
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(yield* readExactly(first.vchan, 100), pattern(100))
      yield* first.close
      const second = yield* leased(server.accept)
      const two = yield* Fiber.join(joining)
      assert.deepStrictEqual([two.vchan.availableUnsafe(), second.vchan.availableUnsafe()], [0, 0])
      yield* two.vchan.write(pattern(5))
      yield* second.vchan.write(pattern(6))
      assert.deepStrictEqual(yield* readExactly(second.vchan, 5), pattern(5))
      assert.deepStrictEqual(yield* readExactly(two.vchan, 6), pattern(6))
    })))

  it.live("one that came, wrote and left before the server looked is still served", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      for (let times = 0; times < 2; times++) {
        const client = yield* joined(clientProcess)
        yield* client.vchan.write(pattern(20, times))
        yield* client.close
        yield* Effect.scoped(Effect.gen(function*() {
          const vchan = yield* server.accept
          assert.deepStrictEqual(yield* readExactly(vchan, 20), pattern(20, times))
          assert.strictEqual(yield* reasonOf(vchan.readInto(new Uint8Array(1))), "PeerGone")
        }))
      }
    })))

  it.live("comes after one that was killed, and after one that broke the rings", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      yield* Effect.scoped(Effect.gen(function*() {
        const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
        const { view } = yield* rawPage(clientProcess)
        const reading = yield* Effect.forkChild(reasonOf(readExactly(vchan, 9)))
        yield* Effect.sleep("10 millis")
        client.vchan.writeUnsafe(Uint8Array.of(1), 0, 1)
        ;[0, 4, 8, 12].forEach((at) => view.setUint32(at, 0xDEADBEEF + at * 0x1000000, true))
        assert.strictEqual(yield* Fiber.join(reading), "RingCorrupt")
        yield* client.vchan.ended
        yield* client.close
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const life = yield* Scope.fork(yield* Effect.scope)
        const mortal = yield* Scope.provide(process(host, clientDomid), life)
        const [client, vchan] = yield* Effect.all([joined(mortal), server.accept], { concurrency: 2 })
        yield* client.vchan.write(pattern(7))
        yield* Scope.close(life, Exit.void)
        assert.deepStrictEqual(yield* readExactly(vchan, 7), pattern(7))
        assert.strictEqual(yield* reasonOf(vchan.readInto(new Uint8Array(1))), "PeerGone")
      }))
      const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
      yield* client.vchan.write(pattern(5))
      assert.deepStrictEqual(yield* readExactly(vchan, 5), pattern(5))
      yield* vchan.write(pattern(6))
      assert.deepStrictEqual(yield* readExactly(client.vchan, 6), pattern(6))
    })))

  it.live("comes after one that spoilt the page without ever connecting", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      for (const [cons, prod, live] of [[0, 0x80000000, 2], [0x80000000, 0, 0], [0, 0x80000000, 7]] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { view } = yield* rawPage(clientProcess)
          const vchan = yield* server.open
          view.setUint32(4, prod, true)
          view.setUint32(8, cons, true)
          view.setUint8(20, live)
          assert.include(["RingCorrupt", "PeerGone"], yield* reasonOf(readExactly(vchan, 1)))
        }))
      }
      const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
      yield* client.vchan.write(pattern(5))
      assert.deepStrictEqual(yield* readExactly(vchan, 5), pattern(5))
    })))

  it.live("is let in when a client that was sent away has left", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, server } = yield* open(host)
      const [client, first] = yield* Effect.all([joined(clientProcess), leased(server.accept)], { concurrency: 2 })
      yield* first.close
      assert.strictEqual((yield* client.vchan.ended).reason._tag, "PeerGone")
      const accepting = yield* Effect.forkChild(leased(server.accept))
      yield* Effect.sleep("20 millis")
      yield* client.close
      const next = yield* joined(clientProcess)
      const { vchan } = yield* Fiber.join(accepting)
      yield* next.vchan.write(pattern(5))
      assert.deepStrictEqual(yield* readExactly(vchan, 5), pattern(5))
    })))
})

describe("the server's end", () => {
  it.live("closing the server ends its connection, and accept fails with Closed", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, closeServer, server } = yield* open(host)
      const [client, { vchan }] = yield* Effect.all([joined(clientProcess), leased(server.accept)], { concurrency: 2 })
      const waiting = yield* Effect.forkChild(reasonOf(Effect.scoped(server.accept)))
      yield* Effect.sleep("10 millis")
      yield* closeServer
      assert.strictEqual((yield* client.vchan.ended).reason._tag, "PeerGone")
      assert.strictEqual(yield* reasonOf(vchan.readInto(new Uint8Array(1))), "Closed")
      assert.strictEqual(yield* Fiber.join(waiting), "Closed")
      assert.strictEqual(yield* reasonOf(Effect.scoped(server.open)), "Closed")
    })))

  it.live("a privileged server learns from the hypervisor that its client's domain is gone", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const dom0 = yield* process(host, 0)
      const clientProcess = yield* process(host, clientDomid)
      const at = "/local/domain/0/data/vchan"
      const server = yield* as(dom0)(Handshake.server({ domid: clientDomid, path: at }))
      const [, vchan] = yield* Effect.all([joined(clientProcess, { domid: 0, path: at }), server.accept], { concurrency: 2 })
      yield* host.destroy(clientDomid)
      assert.strictEqual((yield* vchan.ended).reason._tag, "DomainGone")
      assert.strictEqual(yield* reasonOf(Effect.scoped(server.accept)), "DomainGone")
    })))

  it.live("a privileged server waits for a domain that is not there yet", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const dom0 = yield* process(host, 0)
      const at = "/local/domain/0/data/vchan"
      const server = yield* as(dom0)(Handshake.server({ domid: clientDomid, path: at }))
      const accepted = yield* Effect.forkChild(server.accept)
      yield* Effect.sleep("20 millis")
      const clientProcess = yield* process(host, clientDomid)
      const { vchan } = yield* joined(clientProcess, { domid: 0, path: at })
      yield* vchan.write(pattern(5))
      assert.deepStrictEqual(yield* readExactly(yield* Fiber.join(accepted), 5), pattern(5))
    })))

  it.live("an unprivileged server learns it from a key that goes with that domain", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const serverProcess = yield* process(host, serverDomid)
      const clientProcess = yield* process(host, clientDomid)
      const common = "/local/domain/3/data/common"
      const [serverStore, clientStore] = [Context.get(serverProcess, XenStore), Context.get(clientProcess, XenStore)]
      yield* serverStore.makeDirectory(common)
      yield* serverStore.setPermissions(common, [{ domid: 3, access: "n" }, { domid: 5, access: "b" }])
      yield* clientStore.write(`${common}/key`, "")
      yield* clientStore.setPermissions(`${common}/key`, [{ domid: 5, access: "n" }, { domid: 3, access: "r" }])
      const server = yield* as(serverProcess)(Handshake.server({ domid: clientDomid, path, watchKey: `${common}/key` }))
      const [client, vchan] = yield* Effect.all([joined(clientProcess), server.accept], { concurrency: 2 })
      yield* client.vchan.write(pattern(5))
      assert.deepStrictEqual(yield* readExactly(vchan, 5), pattern(5))
      yield* host.destroy(clientDomid)
      assert.strictEqual((yield* vchan.ended).reason._tag, "DomainGone")
    })))
})
