/**
 * The events of one process on Xen: the device /dev/xen/evtchn, opened once, and the ports that are bound through it.
 *
 * A port whose event was read is masked by the kernel until its number is written back, which happens when the port goes to sleep: what
 * comes meanwhile waits in the hypervisor. How the process waits is {@link EventSource}'s.
 */
import type { Port } from "@vchan/xen"
import { EventSource, LocalPort } from "./EventSource.ts"
import * as libc from "./libc.ts"
import { encodeWord, EVTCHN_NOTIFY, EVTCHN_RESET } from "./xenDevices.ts"

const nothing = new Uint8Array()

/** Reads the device and keeps the ports of one process. */
export class EventDevice extends EventSource<DevicePort> {
  /** The port, which was bound through the device. */
  open(port: number): Port {
    const local = new DevicePort(port, this)
    this.ports.set(port, local)
    return local
  }

  /** The kernel had no room for an event. Nobody knows whose it was, so every port counts as rung. */
  overflowed(): void {
    libc.ioctl(this.fd, EVTCHN_RESET, nothing)
    for (const local of this.ports.values()) local.ring()
    this.pollAgain()
  }

  protected override unreadable(): void {
    if (libc.errnoName() === "EFBIG") this.overflowed()
  }
}

/** One port of this process. */
class DevicePort extends LocalPort {
  private readonly fd: number
  private readonly number: Uint8Array
  private masked = false

  constructor(port: number, device: EventDevice) {
    super(port, device)
    this.fd = device.fd
    this.number = encodeWord(port)
  }

  readonly notifyUnsafe = (): void => {
    if (!this.closed) libc.ioctl(this.fd, EVTCHN_NOTIFY, this.number)
  }

  override ring(): void {
    this.masked = true
    super.ring()
  }

  /** The kernel masks it with the first event; before, that costs one wake-up for nothing. */
  override mask(): void {}

  /** Where the kernel could not take the number back, the port stays awake, and this is tried again. */
  override unmask(): boolean {
    if (this.masked) this.masked = libc.write(this.fd, this.number, 4) !== 4
    return this.masked
  }
}
