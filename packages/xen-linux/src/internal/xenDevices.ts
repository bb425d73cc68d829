/**
 * What the kernel's Xen devices are asked, as pure data: the numbers of the ioctls, and their arguments as bytes (xen/gntalloc.h,
 * xen/gntdev.h and xen/evtchn.h in the kernel's headers; the same on x86-64 and arm64).
 *
 * Numbers are little-endian, as on all machines that Xen runs on. What the kernel answers in the argument is read from it afterwards.
 */
import type { DomId, GrantReference, UnmapNotify } from "@vchan/xen"

export const GNTALLOC_ALLOC_GREF = 0x18_4705
export const GNTALLOC_DEALLOC_GREF = 0x10_4706
export const GNTDEV_MAP_GRANT_REF = 0x18_4700
export const GNTDEV_UNMAP_GRANT_REF = 0x10_4701
/** The same number on both devices. */
export const SET_UNMAP_NOTIFY = 0x10_4707
export const EVTCHN_BIND_INTERDOMAIN = 0x8_4501
export const EVTCHN_BIND_UNBOUND_PORT = 0x4_4502
export const EVTCHN_UNBIND = 0x4_4503
export const EVTCHN_NOTIFY = 0x4_4504
export const EVTCHN_RESET = 0x4505

const GNTALLOC_FLAG_WRITABLE = 1
const UNMAP_NOTIFY_CLEAR_BYTE = 1
const UNMAP_NOTIFY_SEND_EVENT = 2

/** The kernel copies the struct with room for one page in and out, however many there are. */
const leastBytes = 24
const arrayAt = 16
const indexAt = 8

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** `struct ioctl_gntalloc_alloc_gref`: pages that `domid` may write to. */
export const encodeAllocGref = (domid: DomId, count: number): Uint8Array => {
  const bytes = new Uint8Array(Math.max(leastBytes, arrayAt + 4 * count))
  const view = viewOf(bytes)
  view.setUint16(0, domid, true)
  view.setUint16(2, GNTALLOC_FLAG_WRITABLE, true)
  view.setUint32(4, count, true)
  return bytes
}

/** The references that the kernel wrote into `struct ioctl_gntalloc_alloc_gref`. */
export const decodeReferences = (bytes: Uint8Array, count: number): ReadonlyArray<GrantReference> => {
  const view = viewOf(bytes)
  return Array.from({ length: count }, (_, at) => view.getUint32(arrayAt + 4 * at, true))
}

/** `struct ioctl_gntdev_map_grant_ref` */
export const encodeMapGrantRef = (domid: DomId, references: ReadonlyArray<GrantReference>): Uint8Array => {
  const bytes = new Uint8Array(Math.max(leastBytes, arrayAt + 8 * references.length))
  const view = viewOf(bytes)
  view.setUint32(0, references.length, true)
  references.forEach((reference, at) => {
    view.setUint32(arrayAt + 8 * at, domid, true)
    view.setUint32(arrayAt + 8 * at + 4, reference, true)
  })
  return bytes
}

/** Where the kernel put the pages: the offset to map them at, from either of the two structs above. */
export const decodeIndex = (bytes: Uint8Array): number => Number(viewOf(bytes).getBigUint64(indexAt, true))

/** `struct ioctl_gntalloc_dealloc_gref` and `struct ioctl_gntdev_unmap_grant_ref` */
export const encodeRange = (index: number, count: number): Uint8Array => {
  const bytes = new Uint8Array(16)
  const view = viewOf(bytes)
  view.setBigUint64(0, BigInt(index), true)
  view.setUint32(8, count, true)
  return bytes
}

/** `struct ioctl_gntalloc_unmap_notify` and `struct ioctl_gntdev_unmap_notify`, for pages at this index. */
export const encodeUnmapNotify = (index: number, notify: UnmapNotify): Uint8Array => {
  const bytes = new Uint8Array(16)
  const view = viewOf(bytes)
  view.setBigUint64(0, BigInt(index + notify.clearByte), true)
  view.setUint32(8, UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT, true)
  view.setUint32(12, notify.port, true)
  return bytes
}

/** `struct ioctl_evtchn_bind_interdomain` */
export const encodeBindInterdomain = (domid: DomId, port: number): Uint8Array => {
  const bytes = new Uint8Array(8)
  const view = viewOf(bytes)
  view.setUint32(0, domid, true)
  view.setUint32(4, port, true)
  return bytes
}

/** The structs that hold one number: `ioctl_evtchn_bind_unbound_port`, `ioctl_evtchn_unbind` and `ioctl_evtchn_notify`. */
export const encodeWord = (word: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, word, true)
  return bytes
}
