/**
 * The event channels of a domain of Xen, through the kernel's device evtchn.
 */
import { type EventChannel, EventChannelError, type HostMissing, NoSuchPort, PortsExhausted, SystemRefusal } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { EventDevice } from "./EventDevice.ts"
import * as libc from "./libc.ts"
import { type Device, openDevice } from "./openDevice.ts"
import { AdaptiveSpin, checkSpin } from "./Spin.ts"
import { encodeBindInterdomain, encodeWord, EVTCHN_BIND_INTERDOMAIN, EVTCHN_BIND_UNBOUND_PORT, EVTCHN_UNBIND } from "./xenDevices.ts"

const raise = "max_event_channels in the guest's xl configuration, 1023 where not given"
const hint = "see the hypervisor's log with 'xl dmesg' in dom0"

/** The event channels. The device is open until the Scope ends. */
export const makeEventChannel = Effect.fnUntraced(function*(options: {
  readonly device: Device
  readonly spinMicros: number
}): Effect.fn.Return<EventChannel["Service"], HostMissing | SystemRefusal, Scope.Scope> {
  const { device, spinMicros } = options
  yield* checkSpin(spinMicros)
  const events = yield* Effect.acquireRelease(
    Effect.map(openDevice(device), (fd) => new EventDevice(fd, new AdaptiveSpin(spinMicros))),
    (events) => Effect.sync(() => events.end())
  )

  const bind = (request: number, argument: Uint8Array, refusal: (code: string) => EventChannelError["reason"]) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const port = libc.ioctl(events.fd, request, argument)
        if (port >= 0) return Effect.succeed(events.open(port))
        const code = libc.errnoName()
        return Effect.fail(new EventChannelError({ reason: code === "ENOSPC" ? new PortsExhausted({ hint: raise }) : refusal(code) }))
      }),
      ({ port }) =>
        Effect.sync(() => {
          events.close(port)
          libc.ioctl(events.fd, EVTCHN_UNBIND, encodeWord(port))
        })
    )

  return {
    bindUnbound: (domid) =>
      bind(
        EVTCHN_BIND_UNBOUND_PORT,
        encodeWord(domid),
        (code) => new SystemRefusal({ call: `bind a port for domain ${domid}`, code, hint })
      ),
    bindInterdomain: (domid, port) =>
      bind(EVTCHN_BIND_INTERDOMAIN, encodeBindInterdomain(domid, port), (code) =>
        // The hypervisor says EINVAL of a port that is not kept for this domain, and ESRCH where there is no such domain.
        code === "EINVAL" || code === "ESRCH"
          ? new NoSuchPort({ domid, port })
          : new SystemRefusal({ call: `bind to port ${port} of domain ${domid}`, code, hint }))
  }
})
