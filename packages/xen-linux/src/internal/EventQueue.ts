/**
 * The events of one process: its FIFO, its ports, and how it waits.
 *
 * After activity on a port the process looks about for a short while (`spinMicros`), giving its CPU away between looks: where both sides
 * share the machine, the answer is mostly there before sleep and wake-up would be over. A port that stays quiet is armed and sleeps: only
 * an event through the FIFO, which Node's own loop polls, wakes it. So an idle process costs no CPU.
 *
 * A port is masked exactly while it is awake: events need no second way in while somebody looks anyhow. After each look that found work
 * the loop gets its turn (`setImmediate`), so promises, timers and other I/O go on under any traffic.
 *
 * The queue belongs to the Scope it was opened in. Nothing in here is allocated per event.
 */
import type { Port, PortListener } from "@vchan/xen"
import * as fs from "node:fs"
import type { EventWriter } from "./EventWriter.ts"
import * as libc from "./libc.ts"
import type { PortTable } from "./PortTable.ts"

/** How long a port stays awake after it was last busy, in microseconds. */
export const defaultSpinMicros = 20

/** Reads the FIFO of one process and keeps its ports. */
export class EventQueue {
  private readonly fd: number
  private readonly table: PortTable
  private readonly writer: EventWriter
  /** In milliseconds, as `performance.now` counts. */
  private readonly spin: number
  private readonly poll: { readonly close: () => void }
  private readonly ports = new Map<number, LocalPort>()
  private readonly awake: Array<LocalPort> = []
  private readonly events = new Uint32Array(256)
  private readonly bytes = new Uint8Array(this.events.buffer)
  private scheduled = false

  /** Throws what the file system says where the FIFO cannot be opened. */
  constructor(options: {
    readonly fifo: string
    readonly table: PortTable
    readonly writer: EventWriter
    readonly spinMicros: number
  }) {
    this.table = options.table
    this.writer = options.writer
    this.spin = options.spinMicros / 1000
    // Opened for writing too, so that it never ends when the last writer closes it.
    this.fd = fs.openSync(options.fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
    if (!fs.fstatSync(this.fd).isFIFO()) throw new RangeError(`${options.fifo} is no FIFO`)
    this.poll = libc.pollReadable(this.fd, () => this.receive())
  }

  /** The port, which the host has bound for this process. */
  open(port: number): Port {
    const local = new LocalPort(port, this, this.table, this.writer)
    // Its first event may have been here before the host's answer was.
    local.rung = this.table.isMasked(port)
    this.ports.set(port, local)
    return local
  }

  /** Before the host unbinds it: the port is nobody's then, and must not be touched any more. */
  close(port: number): void {
    const local = this.ports.get(port)
    if (local === undefined) return
    this.ports.delete(port)
    if (local.awake) this.remove(local)
    local.close()
  }

  /** Ends the queue, and with it what ports are left. */
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
    this.table.mask(local.port)
    this.awake.push(local)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.turn)
  }

  /** Called by the loop's poll: nothing may be thrown here, and listeners run in the loop's next phase, where promises are served. */
  private receive(): void {
    const length = libc.read(this.fd, this.bytes, this.bytes.length)
    for (let index = 0; index < length >> 2; index++) {
      const local = this.ports.get(this.events[index] ?? 0)
      if (local?.listener !== undefined) this.wake(local)
      else if (local !== undefined) local.rung = true
    }
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
      if (local.listener.look()) {
        progress = true
        local.until = performance.now() + this.spin
      } else if (now >= local.until) {
        this.sleep(local, local.listener)
      }
    }
    return progress
  }

  /** The port sleeps, unless something came at the last moment. */
  private sleep(local: LocalPort, listener: PortListener): void {
    const stays = this.table.unmask(local.port) || listener.arm()
    if (!local.awake) return
    if (stays) this.table.mask(local.port)
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
class LocalPort implements Port {
  readonly port: number
  listener: PortListener | undefined
  /** An event came before the listener. */
  rung = false
  awake = false
  /** Until when the port stays awake though nothing happens. */
  until = 0
  private readonly queue: EventQueue
  private readonly table: PortTable
  private readonly writer: EventWriter
  /** Whose the port at the other end is, as of the last event sent there. */
  private peerQueue = 0
  private closed = false

  constructor(port: number, queue: EventQueue, table: PortTable, writer: EventWriter) {
    this.port = port
    this.queue = queue
    this.table = table
    this.writer = writer
  }

  readonly notifyUnsafe = (): void => {
    if (this.closed) return
    const peer = this.table.peerOf(this.port)
    if (!this.table.raise(peer)) return
    const queue = this.table.queueOf(peer)
    if (queue !== this.peerQueue) this.address(queue)
    // An event that cannot be delivered is dropped, and the next one is not to wait for its answer.
    if (!this.writer.deliver(queue, peer)) this.table.unmask(peer)
  }

  readonly listenUnsafe = (listener: PortListener): void => {
    if (this.closed) return
    this.listener = listener
    if (this.rung) this.queue.wake(this)
    this.rung = false
  }

  readonly expectUnsafe = (): void => {
    if (this.listener !== undefined) this.queue.wake(this)
  }

  /** From here on the port's number may be somebody else's. */
  close(): void {
    this.closed = true
    this.listener = undefined
    this.address(0)
  }

  private address(queue: number): void {
    if (this.peerQueue !== 0) this.writer.release(this.peerQueue)
    if (queue !== 0) this.writer.retain(queue)
    this.peerQueue = queue
  }
}
