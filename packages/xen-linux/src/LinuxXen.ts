/**
 * This process in a domain of real Xen, dom0 or guest, through the Linux kernel's devices: gntalloc and gntdev for pages, evtchn for events,
 * and xenbus or xenstored's socket for XenStore.
 *
 * The devices are opened when the Layer is built, once each, and closed with the Layer's Scope. Whatever this process still holds then the
 * kernel releases, as it does when the process is killed: it clears the live bytes, rings the peers and ends grants, ports and watches.
 * The files are not to be used from a forked process; child processes do not inherit them.
 */
import { EventChannel, GrantTable, type Xen, XenStore, XenStoreError } from "@vchan/xen"
import { Context, Effect, Layer, type Scope } from "effect"
import { makeEventChannel } from "./internal/linuxEventChannel.ts"
import { makeGrantTable } from "./internal/linuxGrantTable.ts"
import { makeXenStore } from "./internal/linuxXenStore.ts"
import { eventDevice, xenDevices } from "./internal/openDevice.ts"
import { maxSpinMicros } from "./internal/Spin.ts"

/** How this process finds Xen. */
export interface LinuxXenOptions {
  /** The directory of the kernel's Xen devices; `/dev/xen` where none is named. */
  readonly devices?: string | undefined
  /**
   * The longest that a port that was busy is looked at before it sleeps, in microseconds up to 1000, and as many where not given. Up to then
   * the process finds out how long it pays: 0 is not at all.
   */
  readonly spinMicros?: number | undefined
}

/**
 * Opens the devices. Fails with `HostMissing` where evtchn or XenStore is not there, and with `SystemRefusal` where this user may not open
 * them. Who only connects needs gntdev and who only serves gntalloc: one that is missing is told of by the first call that needs it.
 */
export const layer = (options?: LinuxXenOptions): Layer.Layer<Xen, XenStoreError> => Layer.effectContext(open(options))

const open = Effect.fnUntraced(function*(
  options: LinuxXenOptions | undefined
): Effect.fn.Return<Context.Context<Xen>, XenStoreError, Scope.Scope> {
  const devices = options?.devices ?? xenDevices
  const grants = yield* makeGrantTable(devices)
  const events = yield* makeEventChannel({ device: eventDevice(devices), spinMicros: options?.spinMicros ?? maxSpinMicros }).pipe(
    Effect.mapError((reason) => new XenStoreError({ reason }))
  )
  const store = yield* makeXenStore(devices)
  return Context.make(GrantTable, grants).pipe(Context.add(EventChannel, events), Context.add(XenStore, store))
})
