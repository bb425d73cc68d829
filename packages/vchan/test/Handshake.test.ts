import { assert, describe, it } from "@effect/vitest"
import { EventChannel, GrantTable, type MemoryXen, XenStore } from "@vchan/xen"
import { Cause, Context, type Duration, Effect, Exit, Fiber, Scope } from "effect"
import { Handshake, Listener } from "../src/index.ts"
import {
  as,
  clientDomid,
  connected,
  joined,
  leased,
  onHost,
  path,
  pattern,
  process,
  readExactly,
  reasonOf,
  serverDomid,
  type Xen
} from "./world.ts"

const offered = (context: Context.Context<Xen>, options?: Partial<Handshake.ServerOptions>) =>
  as(context)(Handshake.server({ domid: clientDomid, path, ...options }))

const waiting = (context: Context.Context<Xen>, timeout: Duration.Input = "150 millis") =>
  reasonOf(Effect.scoped(as(context)(Handshake.client({ domid: serverDomid, path, timeout }))))

/** What a server would advertise, from a domain that does not keep to the protocol. */
const forge = Effect.fnUntraced(function*(context: Context.Context<Xen>, ringRef: string, eventChannel: string) {
  const store = Context.get(context, XenStore)
  for (const [key, value] of [["ring-ref", ringRef], ["event-channel", eventChannel]] as const) {
    yield* store.write(`${path}/${key}`, value)
    yield* store.setPermissions(`${path}/${key}`, [{ domid: serverDomid, access: "n" }, { domid: clientDomid, access: "r" }])
  }
})

/** A server's page with these orders and this list of grants, advertised. */
const forgePage = Effect.fnUntraced(
  function*(context: Context.Context<Xen>, left: number, right: number, grants: ReadonlyArray<number> = []) {
    const port = yield* Context.get(context, EventChannel).bindUnbound(clientDomid)
    const { buffer, references } = yield* Context.get(context, GrantTable).share({ domid: clientDomid, count: 1 })
    const view = new DataView(buffer)
    view.setUint16(16, left, true)
    view.setUint16(18, right, true)
    view.setUint8(20, 2)
    view.setUint8(21, 1)
    grants.forEach((grant, at) => view.setUint32(24 + 4 * at, grant, true))
    yield* forge(context, String(references[0]), String(port.port))
    return view
  }
)

const pair = Effect.fnUntraced(function*(host: MemoryXen.MemoryXen) {
  return { serverProcess: yield* process(host, serverDomid), clientProcess: yield* process(host, clientDomid) }
})

describe("the keys", () => {
  it.live("are decimal numbers that the client alone may read, and are gone with the server's Scope", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      const other = yield* process(host, 9)
      const scope = yield* Scope.make()
      yield* Scope.provide(offered(serverProcess), scope)
      const read = (context: Context.Context<Xen>, key: string) => Context.get(context, XenStore).read(`${path}/${key}`)
      for (const key of ["ring-ref", "event-channel"]) {
        assert.match(yield* read(clientProcess, key), /^[1-9][0-9]*$/)
        assert.strictEqual((yield* Effect.flip(read(other, key))).code, "EACCES")
        assert.deepStrictEqual(yield* Context.get(serverProcess, XenStore).getPermissions(`${path}/${key}`), [
          { domid: serverDomid, access: "n" },
          { domid: clientDomid, access: "r" }
        ])
      }
      assert.strictEqual((yield* Effect.flip(Context.get(clientProcess, XenStore).directory(path))).code, "EACCES")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(read(serverProcess, "ring-ref"))).code, "ENOENT")
      assert.strictEqual((yield* Effect.flip(Context.get(serverProcess, XenStore).directory(path))).code, "ENOENT")
    })))

  it.live("of a successor are left alone, and so is what else lies there", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      const store = Context.get(serverProcess, XenStore)
      yield* store.write(`${path}/other`, "kept")
      const first = yield* Scope.make()
      yield* Scope.provide(offered(serverProcess), first)
      const second = yield* Scope.make()
      const { accept } = yield* Scope.provide(offered(serverProcess), second)
      yield* Scope.close(first, Exit.void)
      const [{ close }] = yield* Effect.all([joined(clientProcess), leased(accept)], { concurrency: 2 })
      yield* close
      yield* Scope.close(second, Exit.void)
      assert.deepStrictEqual(yield* store.directory(path), ["other"])
    })))

  it.live("over 49 bytes of path are refused where C peers are to be served", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const serverProcess = yield* process(host, serverDomid)
      const of = (length: number) => `/local/domain/3/data/${"x".repeat(length - 21)}`
      yield* Effect.scoped(offered(serverProcess, { path: of(49) }))
      assert.strictEqual(yield* reasonOf(Effect.scoped(offered(serverProcess, { path: of(50) }))), "PathTooLong")
      yield* Effect.scoped(offered(serverProcess, { path: of(50), forC: false }))
    })))

  it.live("may be relative to the server's own domain", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, server } = yield* connected(host, { path: "data/vchan" })
      yield* client.write(pattern(9))
      assert.deepStrictEqual(yield* readExactly(server, 9), pattern(9))
    })))
})

describe("waiting for a server", () => {
  it.live("one that comes later is found", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      const client = yield* Effect.forkChild(joined(clientProcess))
      yield* Effect.sleep("50 millis")
      const { accept } = yield* offered(serverProcess)
      const [{ vchan }, server] = yield* Effect.all([Fiber.join(client), accept], { concurrency: 2 })
      yield* vchan.write(pattern(3))
      assert.deepStrictEqual(yield* readExactly(server, 3), pattern(3))
    })))

  it.live("a client whose domain came to be after its server is let in", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { accept } = yield* offered(yield* process(host, serverDomid))
      const { vchan } = yield* joined(yield* process(host, clientDomid))
      yield* vchan.write(pattern(3))
      assert.deepStrictEqual(yield* readExactly(yield* accept, 3), pattern(3))
    })))

  it.live("none in time is ServerAbsent, also where the keys are for another domain", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      assert.strictEqual(yield* waiting(clientProcess), "ServerAbsent")
      yield* offered(serverProcess, { domid: 9 })
      assert.strictEqual(yield* waiting(clientProcess), "ServerAbsent")
    })))

  it.live("keys that a dead server left are waited out", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      yield* forge(serverProcess, "4000", "4000")
      const client = yield* Effect.forkChild(joined(clientProcess))
      yield* Effect.sleep("50 millis")
      const { accept } = yield* offered(serverProcess)
      yield* Effect.all([Fiber.join(client), accept], { concurrency: 2 })
    })))

  it.live("an interrupted wait leaves nothing", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const clientProcess = yield* process(host, clientDomid)
      const client = yield* Effect.forkChild(Effect.scoped(joined(clientProcess)))
      yield* Effect.sleep("30 millis")
      yield* Fiber.interrupt(client)
    })))
})

describe("what cannot be connected to", () => {
  it.live("garbage in a key is BadAdvert and names the key", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      for (const garbage of ["", "0", "-1", "08", "1x", " 1", "1.0", "0x10", "4294967296", "99999999999", "NaN"]) {
        yield* forge(serverProcess, garbage, "1")
        assert.strictEqual(yield* waiting(clientProcess), "BadAdvert")
        yield* forge(serverProcess, "1", garbage)
        assert.strictEqual(yield* waiting(clientProcess), "BadAdvert")
      }
      const error = yield* Effect.flip(Effect.scoped(as(clientProcess)(Handshake.client({ domid: serverDomid, path }))))
      assert.include(error.message, "event-channel")
      assert.include(error.message, "NaN")
      yield* forge(serverProcess, "1", "\u009b2J\u202e")
      assert.strictEqual(yield* waiting(clientProcess), "BadAdvert")
      const steering = yield* Effect.flip(Effect.scoped(as(clientProcess)(Handshake.client({ domid: serverDomid, path }))))
      assert.include(steering.message, "\\u009b2J\\u202e")
    })))

  it.live("a port that is not there is Refused, a grant that is not there NoSuchGrant", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      yield* forge(serverProcess, "4000", "4000")
      assert.strictEqual(yield* waiting(clientProcess), "Refused")
      const port = yield* Context.get(serverProcess, EventChannel).bindUnbound(clientDomid)
      yield* forge(serverProcess, "4000", String(port.port))
      assert.strictEqual(yield* waiting(clientProcess), "NoSuchGrant")
    })))

  for (
    const [left, right] of [[0, 0], [9, 12], [12, 9], [21, 12], [12, 21], [0xFFFF, 0xFFFF], [10, 10], [11, 11], [10, 12], [20, 10]] as const
  ) {
    it.live(`a page with orders ${left} and ${right} is BadGeometry`, () =>
      onHost(Effect.fnUntraced(function*(host) {
        const { clientProcess, serverProcess } = yield* pair(host)
        yield* forgePage(serverProcess, left, right)
        assert.strictEqual(yield* waiting(clientProcess), "BadGeometry")
      })))
  }

  it.live("a page that lists grants of nobody is NoSuchGrant", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      yield* forgePage(serverProcess, 12, 12, [4000, 4001])
      assert.strictEqual(yield* waiting(clientProcess), "NoSuchGrant")
    })))

  it.live("indexes that cannot be are RingCorrupt at the first look", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { clientProcess, serverProcess } = yield* pair(host)
      const view = yield* forgePage(serverProcess, 10, 11)
      view.setUint32(12, 5000, true)
      const { vchan } = yield* joined(clientProcess)
      assert.strictEqual(yield* reasonOf(vchan.readInto(new Uint8Array(1))), "RingCorrupt")
      assert.strictEqual(view.getUint8(20), 0)
    })))

  it.live("a second client at the same time is Refused, and the first goes on", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, clientProcess, server } = yield* connected(host)
      assert.strictEqual(yield* waiting(clientProcess), "Refused")
      yield* client.write(pattern(9))
      assert.deepStrictEqual(yield* readExactly(server, 9), pattern(9))
    })))

  it.live("a peer that is no domid is a RangeError that names it", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const context = yield* process(host, clientDomid)
      for (const domid of [-1, 1.5, NaN, 0x7FF0, 2 ** 32]) {
        const uses: ReadonlyArray<Effect.Effect<unknown, unknown, Xen | Scope.Scope>> = [
          Handshake.server({ domid, path }),
          Handshake.client({ domid, path, timeout: 0 }),
          Listener.connect({ domid, path, timeout: 0 })
        ]
        for (const use of uses) {
          const exit = yield* Effect.exit(Effect.scoped(as(context)(use)))
          const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          assert.instanceOf(error, RangeError)
          assert.include(String(error), `${domid} is no domid`)
        }
      }
    })))

  it.live("sizes over 1 MiB are BadGeometry for the server that asks for them", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const serverProcess = yield* process(host, serverDomid)
      assert.strictEqual(yield* reasonOf(offered(serverProcess, { leftMin: (1 << 20) + 1 })), "BadGeometry")
      assert.strictEqual(yield* reasonOf(offered(serverProcess, { rightMin: -1 })), "BadGeometry")
    })))
})

describe("what is acquired", () => {
  /** Xen's services, of which the n-th call fails, stays, or is interrupted. */
  const failing = (context: Context.Context<Xen>, at: number, how: Effect.Effect<never>) => {
    let calls = 0
    const step = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.suspend(() => ++calls === at ? how : effect)
    const store = Context.get(context, XenStore)
    const grants = Context.get(context, GrantTable)
    const events = Context.get(context, EventChannel)
    const stepped = (access: Pick<typeof store, "read" | "write" | "setPermissions" | "directory">) => ({
      read: (path: string) => step(access.read(path)),
      write: (path: string, value: string) => step(access.write(path, value)),
      directory: (path: string) => step(access.directory(path)),
      setPermissions: (...args: Parameters<typeof store.setPermissions>) => step(access.setPermissions(...args))
    })
    const services = Context.make(XenStore, {
      ...store,
      ...stepped(store),
      transaction: (body) => step(store.transaction((access) => body({ ...access, ...stepped(access) })))
    }).pipe(
      Context.add(GrantTable, { share: (options) => step(grants.share(options)), map: (options) => step(grants.map(options)) }),
      Context.add(EventChannel, {
        bindUnbound: (domid) => step(events.bindUnbound(domid)),
        bindInterdomain: (domid, port) => step(events.bindInterdomain(domid, port))
      })
    )
    return { services, over: Effect.sync(() => calls = Number.NEGATIVE_INFINITY) }
  }

  const faults = [["fails", Effect.die(new Error("the test's"))], ["is interrupted", Effect.interrupt]] as const

  it.live("is let go of though the store is stuck, by a server, a client and a listener", () =>
    onHost(Effect.fnUntraced(function*(host) {
      let stuck = false
      const [one, two] = yield* Effect.all([process(host, serverDomid), process(host, clientDomid)])
      const behind = (context: Context.Context<Xen>) => {
        const store = Context.get(context, XenStore)
        const step = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.suspend(() => stuck ? Effect.never : effect)
        return Context.add(context, XenStore, {
          ...store,
          read: (path) => step(store.read(path)),
          remove: (path) => step(store.remove(path)),
          directory: (path) => step(store.directory(path)),
          transaction: (body) => step(store.transaction(body))
        })
      }
      const [serves, connects, listens] = yield* Effect.all([Scope.make(), Scope.make(), Scope.make()])
      const server = yield* Scope.provide(offered(behind(one)), serves)
      yield* Scope.provide(joined(behind(two)), connects)
      yield* server.accept
      yield* Scope.provide(as(behind(one))(Listener.make({ path: "data/service", clients: "any", handler: () => Effect.never })), listens)
      stuck = true
      yield* Effect.forEach([serves, connects, listens], (scope) => Scope.close(scope, Exit.void), {
        concurrency: "unbounded",
        discard: true
      }).pipe(
        Effect.timeout("60 seconds")
      )
    })))

  for (const [what, fault] of faults) {
    it.live(`is released when any step of the server's handshake ${what}`, () =>
      onHost(Effect.fnUntraced(function*(host) {
        const serverProcess = yield* process(host, serverDomid)
        const store = Context.get(serverProcess, XenStore)
        for (let at = 1;; at++) {
          const { over, services } = failing(serverProcess, at, fault)
          const exit = yield* Effect.exit(Effect.scoped(Effect.andThen(offered(services), over)))
          yield* host.assertReleased
          assert.strictEqual((yield* Effect.flip(store.read(`${path}/ring-ref`))).code, "ENOENT")
          if (Exit.isSuccess(exit)) break
          assert.isBelow(at, 40)
        }
      })))

    it.live(`is released when any step of the client's handshake ${what}, and the server takes the next`, () =>
      onHost(Effect.fnUntraced(function*(host) {
        const { clientProcess, serverProcess } = yield* pair(host)
        const server = yield* offered(serverProcess)
        for (let at = 1;; at++) {
          const { over, services } = failing(clientProcess, at, fault)
          const exit = yield* Effect.exit(Effect.scoped(Effect.andThen(joined(services), over)))
          if (Exit.isSuccess(exit)) break
          assert.isBelow(at, 40)
        }
        const accepting = yield* Effect.forkChild(
          Effect.scoped(Effect.flatMap(server.accept, (vchan) => readExactly(vchan, 5))).pipe(
            Effect.retry({ times: 20 })
          )
        )
        const { vchan } = yield* joined(clientProcess)
        yield* vchan.write(pattern(5))
        assert.deepStrictEqual(yield* Fiber.join(accepting), pattern(5))
      })))
  }

  it.live("a side that loses its host, and with it the store, sees HostLost", () =>
    onHost(Effect.fnUntraced(function*(host) {
      const { client, offered, server } = yield* connected(host)
      const accepting = yield* Effect.forkChild(reasonOf(Effect.scoped(offered.accept)))
      yield* Effect.all([host.kill(clientDomid), host.kill(serverDomid)])
      assert.strictEqual((yield* client.ended).reason._tag, "HostLost")
      assert.include(["HostLost", "PeerGone"], (yield* server.ended).reason._tag)
      assert.strictEqual(yield* Fiber.join(accepting), "HostLost")
    })))
})
