import { assert, describe, it } from "@effect/vitest"
import { EventChannel, GrantTable, XenStore, type XenStoreError } from "@vchan/xen"
import { EmulatedXen, LinuxXen } from "@vchan/xen-linux"
import { Context, Effect, Layer, type Scope } from "effect"
import * as fs from "node:fs"
import { withEnvironment } from "./environment.ts"
import { until } from "./socketPair.ts"
import { temporaryDirectory, testHost } from "./testHost.ts"

/** A directory of devices: files that can be opened and polled as they can, and know none of their calls. */
const devicesOf = (...names: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.tap(temporaryDirectory, (devices) =>
    Effect.sync(() => {
      for (const name of names) fs.symlinkSync("/dev/ptmx", `${devices}/${name}`)
    }))

/** The store of domain 1 of an emulated host, as xenstored's socket. */
const withStore = Effect.gen(function*() {
  const { directory } = yield* testHost()
  const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid: 1 }))
  yield* withEnvironment({ XENSTORED_PATH: `${directory}/xs.1` })
  return { directory, store: Context.get(xen, XenStore) }
})

const refused = (devices: string): Effect.Effect<XenStoreError, unknown> =>
  Effect.flip(Effect.scoped(Layer.build(LinuxXen.layer({ devices }))))

const openFiles = (): number => fs.readdirSync("/proc/self/fd").length

describe("LinuxXen", () => {
  it.live("a device that is missing is named, with the module that makes it", () =>
    Effect.gen(function*() {
      const devices = yield* devicesOf()
      const { reason } = yield* refused(devices)
      assert.strictEqual(reason._tag, "HostMissing")
      assert.include(reason.message, `${devices}/evtchn`)
      assert.include(reason.message, "modprobe xen-evtchn")
      assert.include(reason.message, "ENOENT")
    }))

  it.live("what is no device is not used as one", () =>
    Effect.gen(function*() {
      const devices = yield* devicesOf()
      fs.writeFileSync(`${devices}/evtchn`, "")
      const before = openFiles()
      const { reason } = yield* refused(devices)
      assert.strictEqual(reason._tag, "HostMissing")
      assert.include(reason.message, "it is no device")
      assert.strictEqual(openFiles(), before)
    }))

  it.live("a device that this user may not open is named, with who may", () =>
    Effect.gen(function*() {
      const devices = yield* devicesOf()
      fs.writeFileSync(`${devices}/evtchn`, "", { mode: 0 })
      const { geteuid, seteuid } = process
      if (geteuid?.() === 0) {
        yield* Effect.acquireRelease(Effect.sync(() => seteuid?.(65534)), () => Effect.sync(() => seteuid?.(0)))
      }
      const { reason } = yield* refused(devices)
      assert.strictEqual(reason._tag === "SystemRefusal" && reason.code, "EACCES")
      assert.include(reason.message, `${devices}/evtchn`)
      assert.include(reason.message, "run as root")
      assert.include(reason.message, "KERNEL==\"xen/evtchn\"")
    }))

  it.live("without a store, its device is named, and nothing stays open", () =>
    Effect.gen(function*() {
      const devices = yield* devicesOf("evtchn", "gntalloc", "gntdev")
      yield* withEnvironment({ XENSTORED_PATH: undefined, XENSTORED_RUNDIR: devices })
      const before = openFiles()
      const { reason } = yield* refused(devices)
      assert.strictEqual(reason._tag, "HostMissing")
      assert.include(reason.message, `${devices}/xenbus`)
      assert.include(reason.message, "start xenstored")
      assert.strictEqual(openFiles(), before)
    }))

  it.live("xenstored's socket is used where there is one", () =>
    Effect.gen(function*() {
      const { directory } = yield* withStore
      const devices = yield* devicesOf("evtchn")
      for (const environment of [{}, { XENSTORED_PATH: undefined, XENSTORED_RUNDIR: devices }]) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* withEnvironment(environment)
          const store = Context.get(yield* Layer.build(LinuxXen.layer({ devices })), XenStore)
          assert.strictEqual(yield* store.read("domid"), "1")
        }))
        if (!fs.existsSync(`${devices}/socket`)) fs.symlinkSync(`${directory}/xs.1`, `${devices}/socket`)
      }
    }))

  it.live("a store that does not know the own domid is told of", () =>
    Effect.gen(function*() {
      const { directory } = yield* withStore
      const zero = Context.get(yield* Layer.build(EmulatedXen.layer({ directory, domid: 0 })), XenStore)
      yield* zero.remove("/local/domain/1/domid")
      yield* zero.setPermissions("/local/domain/1", [{ domid: 1, access: "n" }])
      const { reason } = yield* refused(yield* devicesOf("evtchn"))
      assert.strictEqual(reason._tag, "HostMissing")
      assert.include(reason.message, `${directory}/xs.1`)
      assert.include(reason.message, "xen-init-dom0")
    }))

  it.live("who uses no pages needs no device for pages, and who does is told which", () =>
    Effect.gen(function*() {
      yield* withStore
      const devices = yield* devicesOf("evtchn")
      const grants = Context.get(yield* Layer.build(LinuxXen.layer({ devices })), GrantTable)
      const share = yield* Effect.flip(grants.share({ domid: 2, count: 1 }))
      assert.strictEqual(share.reason._tag, "HostMissing")
      assert.include(share.message, "modprobe xen-gntalloc")
      const map = yield* Effect.flip(grants.map({ domid: 2, references: [8], writable: true }))
      assert.strictEqual(map.reason._tag, "HostMissing")
      assert.include(map.message, "modprobe xen-gntdev")
    }))

  it.live("what the kernel refuses keeps its errno, and nothing is left of it", () =>
    Effect.gen(function*() {
      yield* withStore
      const devices = yield* devicesOf("evtchn", "gntalloc", "gntdev")
      const before = openFiles()
      yield* Effect.scoped(Effect.gen(function*() {
        const xen = yield* Layer.build(LinuxXen.layer({ devices }))
        const grants = Context.get(xen, GrantTable)
        const events = Context.get(xen, EventChannel)
        const calls = [
          grants.share({ domid: 2, count: 1 }),
          grants.map({ domid: 2, references: [8, 9], writable: true }),
          events.bindUnbound(2),
          events.bindInterdomain(2, 7)
        ]
        for (const call of calls) {
          const { message, reason } = yield* Effect.flip(
            Effect.asVoid<unknown, { readonly message: string; readonly reason: object }, Scope.Scope>(call)
          )
          assert.deepInclude(reason, { _tag: "SystemRefusal", code: "ENOTTY" })
          assert.include(message, "domain 2")
        }
      }))
      yield* until("the end of what was opened", () => openFiles() === before)
    }))
})
