/**
 * Where the events of one process come from, and how it waits for them: the same for the emulated host's FIFO and for Xen's device, which
 * both tell the numbers of rung ports, 4 bytes each in the machine's byte order, through a file that Node's own loop polls.
 *
 * After activity on a port the process looks about for a short while (`spinMicros`), giving its CPU away between looks: where both sides
 * share the machine, the answer is mostly there before sleep and wake-up would be over. A port that stays quiet is armed and sleeps: only
 * an event wakes it. So an idle process costs no CPU. After each look that found work the loop gets its turn (`setImmediate`), so promises,
 * timers and other I/O go on under any traffic.
 *
 * A source belongs to the Scope it was opened in, and owns its file. Nothing in here is allocated per event.
 */
import type { Port, PortListener } from "@vchan/xen"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as libc from "./libc.ts"

/** The longest time to spin, in microseconds: nothing else runs meanwhile. */
const maxSpinMicros = 1000

/** Dies where a caller asks for no such time. */
export const checkSpin = (micros: number): Effect.Effect<void> =>
  micros >= 0 && micros <= maxSpinMicros
    ? Effect.void
    : Effect.die(new RangeError(`spinMicros is ${micros}, and from 0 to ${maxSpinMicros} microseconds are allowed`))

/** Reads one file of events and keeps the ports that they are for. */
export abstract class EventSource<P extends LocalPort> {
  readonly fd: number
  protected readonly ports = new Map<number, P>()
  /** In milliseconds, as `performance.now` counts. */
  private readonly spin: number
  private poll: { readonly close: () => void }
  private readonly awake: Array<LocalPort> = []
  private readonly events = new Uint32Array(256)
  private readonly bytes = new Uint8Array(this.events.buffer)
  private scheduled = false

  /** Takes the file over: one that can be polled, and that does not block. */
  constructor(fd: number, spinMicros: number) {
    this.fd = fd
    this.spin = spinMicros / 1000
    this.poll = this.startPoll()
  }

  /** Before it is unbound: the port is nobody's then, and must not be touched any more. */
  close(port: number): void {
    const local = this.ports.get(port)
    if (local === undefined) return
    this.ports.delete(port)
    if (local.awake) this.remove(local)
    local.close()
  }

  /** Ends the source, and with it what ports are left. */
  end(): void {
    for (const port of [...this.ports.keys()]) this.close(port)
    this.poll.close()
    fs.closeSync(this.fd)
  }

  /** Keeps a port awake for as long as it is busy, and a while longer. */
  wake(local: LocalPort): void {
    local.until = performance.now() + this.spin
    if (local.awake) return
    local.awake = true
    local.mask()
    this.awake.push(local)
    this.schedule()
  }

  /** The file could not be read; errno says why. */
  protected abstract unreadable(): void

  /** Polls anew: the loop stops polling a file that was in error. */
  protected pollAgain(): void {
    this.poll.close()
    this.poll = this.startPoll()
  }

  private startPoll(): { readonly close: () => void } {
    return libc.pollReadable(this.fd, () => this.receive())
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.turn)
  }

  /** Called by the loop's poll: nothing may be thrown here, and listeners run in the loop's next phase, where promises are served. */
  private receive(): void {
    const length = libc.read(this.fd, this.bytes, this.bytes.length)
    if (length < 0) return this.unreadable()
    for (let index = 0; index < length >> 2; index++) this.ports.get(this.events[index] ?? 0)?.ring()
  }

  private readonly turn = (): void => {
    this.scheduled = false
    const end = performance.now() + this.spin
    while (this.awake.length > 0) {
      const progress = this.look()
      if (this.awake.length === 0) return
      if (progress || performance.now() >= end) return this.schedule()
      libc.schedYield()
    }
  }

  /** Looks at each port that is awake, and puts to sleep those that were quiet for long enough; true when there was work. */
  private look(): boolean {
    const now = performance.now()
    let progress = false
    // Listeners may wake, close and open ports: one that changes places is looked at in the next round.
    for (let index = 0; index < this.awake.length; index++) {
      const local = this.awake[index]
      if (local?.listener === undefined) continue
      const { listener } = local
      if (listener.look()) {
        progress = true
        local.until = performance.now() + this.spin
      } else if (now >= local.until && local.awake) {
        this.sleep(local, listener)
      }
    }
    return progress
  }

  /** The port sleeps, unless something came at the last moment. */
  private sleep(local: LocalPort, listener: PortListener): void {
    local.until = 0
    const stays = local.unmask() || listener.arm()
    if (!local.awake) return
    // Whoever expects something since then has not been asked to arm.
    if (stays || local.until > 0) local.mask()
    else this.remove(local)
  }

  private remove(local: LocalPort): void {
    local.awake = false
    const index = this.awake.indexOf(local)
    const last = this.awake.pop()
    if (last !== undefined && last !== local) this.awake[index] = last
  }
}

/** One port of this process. */
export abstract class LocalPort implements Port {
  readonly port: number
  abstract readonly notifyUnsafe: () => void
  listener: PortListener | undefined
  awake = false
  /** Until when the port stays awake though nothing happens. */
  until = 0
  /** An event came before the listener. */
  protected rung = false
  protected closed = false
  private readonly source: EventSource<LocalPort>

  constructor(port: number, source: EventSource<LocalPort>) {
    this.port = port
    this.source = source
  }

  /** Events need not be told from now on: somebody looks anyhow. */
  abstract mask(): void

  /** Events are to be told from now on; true when one came that will not be. */
  abstract unmask(): boolean

  /** An event came. */
  ring(): void {
    if (this.listener === undefined) this.rung = true
    else this.source.wake(this)
  }

  readonly listenUnsafe = (listener: PortListener): void => {
    if (this.closed) return
    this.listener = listener
    if (this.rung) this.source.wake(this)
    this.rung = false
  }

  readonly expectUnsafe = (): void => {
    if (this.listener !== undefined) this.source.wake(this)
  }

  /** From here on the port's number may be somebody else's. */
  close(): void {
    this.closed = true
    this.listener = undefined
  }
}
