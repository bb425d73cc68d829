/**
 * Opening one of the kernel's Xen devices, and what is to be done where that fails.
 */
import { HostMissing, SystemRefusal } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { systemRefusal } from "./systemCall.ts"

/** One of the devices. */
export interface Device {
  readonly path: string
  /** What makes it appear. */
  readonly remedy: string
}

/** Where the devices are. */
export const xenDevices = "/dev/xen"

/** A device that a kernel module makes. */
export const moduleDevice = (directory: string, name: string): Device => ({
  path: `${directory}/${name}`,
  remedy: `load its module with 'modprobe xen-${name}', which works in domains of Xen only`
})

/** The device of the event channels: without it, nothing of Xen can be used. */
export const eventDevice = (directory: string): Device => moduleDevice(directory, "evtchn")

/** The open device, which never blocks. It is the caller's to close. */
export const openDevice = (device: Device): Effect.Effect<number, HostMissing | SystemRefusal> =>
  Effect.try({
    try: () => fs.openSync(device.path, fs.constants.O_RDWR | fs.constants.O_NONBLOCK),
    catch: (cause) => reasonOf(device, cause)
  }).pipe(
    // What is no device might not be fit to be polled, which ends the process.
    Effect.filterOrElse((fd) => fs.fstatSync(fd).isCharacterDevice(), (fd) => {
      fs.closeSync(fd)
      return Effect.fail(new HostMissing({ host: device.path, hint: `it is no device: ${device.remedy}` }))
    })
  )

const reasonOf = ({ path, remedy }: Device, cause: unknown): HostMissing | SystemRefusal => {
  const refusal = systemRefusal(`open ${path}`, remedy, cause)
  const { call, code } = refusal
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ENODEV":
    case "ENXIO":
      return new HostMissing({ host: path, hint: `${remedy} (${code})` })
    case "EACCES":
    case "EPERM":
      return new SystemRefusal({ call, code, hint: permission(path) })
    default:
      return refusal
  }
}

/** As `openDevice`, until the Scope ends. */
export const holdDevice = (device: Device): Effect.Effect<number, HostMissing | SystemRefusal, Scope.Scope> =>
  Effect.acquireRelease(openDevice(device), (fd) => Effect.sync(() => fs.closeSync(fd)))

/** Nobody but root may open the devices as the kernel makes them. */
const permission = (path: string): string =>
  `run as root, or let a udev rule give it to a group of yours: KERNEL=="xen/${
    path.slice(path.lastIndexOf("/") + 1)
  }", GROUP="xen", MODE="0660"`
