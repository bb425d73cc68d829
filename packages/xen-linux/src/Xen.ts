/**
 * The Xen that a program finds where it runs.
 */
import { HostMissing, SystemRefusal, type Xen, XenStoreError } from "@vchan/xen"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as EmulatedXen from "./EmulatedXen.ts"
import { eventDevice, openDevice, xenDevices } from "./internal/openDevice.ts"
import * as LinuxXen from "./LinuxXen.ts"

/**
 * This process as a domain of the Xen that is there: of real Xen where /dev/xen/evtchn can be opened, else of the emulated host.
 *
 * `VCHAN_BACKEND`, `xen` or `emulated`, decides otherwise, and so does `VCHAN_HOST`, which names an emulated host. Where there is neither,
 * the Layer fails with a `HostMissing` that tells what to do about each.
 */
export const layer: Layer.Layer<Xen, XenStoreError> = Layer.unwrap(Effect.suspend(() => {
  const { VCHAN_BACKEND, VCHAN_HOST } = process.env
  switch (VCHAN_BACKEND || (VCHAN_HOST ? "emulated" : "")) {
    case "xen":
      return Effect.succeed(LinuxXen.layer())
    case "emulated":
      return Effect.succeed(EmulatedXen.layer())
    case "":
      return found
    default: {
      const hint = "it takes xen, for a domain of real Xen, emulated, for one of an emulated host, or nothing, for the one that is there"
      return Effect.fail(
        new XenStoreError({ reason: new SystemRefusal({ call: `reading VCHAN_BACKEND=${VCHAN_BACKEND}`, code: "EINVAL", hint }) })
      )
    }
  }
}))

const device = eventDevice(xenDevices)

const found = openDevice(device).pipe(
  Effect.map((fd) => {
    fs.closeSync(fd)
    return LinuxXen.layer()
  }),
  Effect.catch((real) =>
    Effect.succeed(Layer.catch(EmulatedXen.layer(), (error) => Layer.effectContext(Effect.fail(neither(real, error)))))
  )
)

/** Where there is no emulated host either, both are told of. */
const neither = (real: XenStoreError["reason"], error: XenStoreError): XenStoreError =>
  error.reason._tag === "HostMissing"
    ? new XenStoreError({
      reason: new HostMissing({
        host: `${device.path} or ${error.reason.host}`,
        hint: `for real Xen, ${textOf(real)}; for an emulated host, ${error.reason.hint}`
      })
    })
    : error

const textOf = (reason: XenStoreError["reason"]): string => reason._tag === "HostMissing" ? reason.hint : reason.message
