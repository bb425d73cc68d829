import { assert, describe, it } from "@effect/vitest"
import { XenStore } from "@vchan/xen"
import { HostServer, Xen } from "@vchan/xen-linux"
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import { withEnvironment } from "./environment.ts"
import { temporaryDirectory, testHost } from "./testHost.ts"

const unset = { VCHAN_BACKEND: undefined, VCHAN_DOMID: undefined, VCHAN_HOST: undefined, XDG_RUNTIME_DIR: undefined }

const failure = Effect.map(Effect.flip(Effect.scoped(Layer.build(Xen.layer))), (error) => error.reason)

const ownDomid = Effect.flatMap(Layer.build(Xen.layer), (xen) => Context.get(xen, XenStore).read("domid"))

describe("Xen.layer", () => {
  it.live("a host that VCHAN_HOST names is joined", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      for (const VCHAN_BACKEND of [undefined, "", "emulated"]) {
        yield* withEnvironment({ ...unset, VCHAN_BACKEND, VCHAN_HOST: directory })
        assert.match(yield* Effect.scoped(ownDomid), /^[1-9]/)
      }
    }))

  it.live("a process on an emulated host is of the domain that VCHAN_DOMID names", () =>
    Effect.gen(function*() {
      const { directory } = yield* testHost()
      yield* withEnvironment({ ...unset, VCHAN_HOST: directory, VCHAN_DOMID: "0" })
      assert.strictEqual(yield* Effect.scoped(ownDomid), "0")
      for (const VCHAN_DOMID of ["seven", "-1", "40000"]) {
        yield* withEnvironment({ ...unset, VCHAN_HOST: directory, VCHAN_DOMID })
        assert.include((yield* failure).message, `VCHAN_DOMID=${VCHAN_DOMID}`)
      }
    }))

  it.live("VCHAN_BACKEND decides, whatever is there", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withEnvironment({ ...unset, VCHAN_BACKEND: "emulated", VCHAN_HOST: directory })
      const emulated = yield* failure
      assert.strictEqual(emulated._tag, "HostMissing")
      assert.notInclude(emulated.message, "/dev/xen")
    }))

  it.live("a backend that there is not is refused, and those that there are named", () =>
    Effect.gen(function*() {
      yield* withEnvironment({ ...unset, VCHAN_BACKEND: "kvm" })
      const reason = yield* failure
      assert.strictEqual(reason._tag, "SystemRefusal")
      assert.include(reason.message, "VCHAN_BACKEND=kvm")
      assert.include(reason.message, "it takes xen,")
      assert.include(reason.message, "emulated,")
    }))

  const there = fs.existsSync("/dev/xen/evtchn")
  if (there) console.warn("skipped: what happens without Xen, since /dev/xen/evtchn is there")
  describe.skipIf(there)("where there is no Xen", () => {
    it.live("the emulated host of this user is joined", () =>
      Effect.gen(function*() {
        const runtime = yield* temporaryDirectory
        yield* HostServer.make({ directory: `${runtime}/vchan-host` })
        yield* withEnvironment({ ...unset, XDG_RUNTIME_DIR: runtime })
        assert.match(yield* Effect.scoped(ownDomid), /^[1-9]/)
      }))

    it.live("and no host either, the failure says what to do about both", () =>
      Effect.gen(function*() {
        const runtime = yield* temporaryDirectory
        yield* withEnvironment({ ...unset, XDG_RUNTIME_DIR: runtime })
        const reason = yield* failure
        assert.strictEqual(reason._tag, "HostMissing")
        assert.include(reason.message, `no host at /dev/xen/evtchn or ${runtime}/vchan-host`)
        assert.include(reason.message, "modprobe xen-evtchn")
        assert.include(reason.message, "vchan host")
      }))

    it.live("VCHAN_BACKEND=xen does not look for another", () =>
      Effect.gen(function*() {
        const { directory } = yield* testHost()
        yield* withEnvironment({ ...unset, VCHAN_BACKEND: "xen", VCHAN_HOST: directory })
        const reason = yield* failure
        assert.strictEqual(reason._tag, "HostMissing")
        assert.include(reason.message, "no host at /dev/xen/evtchn:")
      }))
  })
})
