/**
 * The events of one process on an emulated host: its FIFO, and its ports in the shared port table.
 *
 * A port is masked exactly while it is awake: events need no second way in while somebody looks anyhow. How the process waits is
 * {@link EventSource}'s.
 */
import type { Port } from "@vchan/xen"
import * as fs from "node:fs"
import { EventSource, LocalPort } from "./EventSource.ts"
import type { EventWriter } from "./EventWriter.ts"
import type { PortTable } from "./PortTable.ts"
import { fixedSpin } from "./Spin.ts"

/** How long a port stays awake after it was last busy, in microseconds. */
export const defaultSpinMicros = 20

/** Reads the FIFO of one process and keeps its ports. */
export class EventQueue extends EventSource<QueuePort> {
  private readonly table: PortTable
  private readonly writer: EventWriter

  /** Throws what the file system says where the FIFO cannot be opened. */
  constructor(options: {
    readonly fifo: string
    readonly table: PortTable
    readonly writer: EventWriter
    readonly spinMicros: number
  }) {
    super(openFifo(options.fifo), fixedSpin(options.spinMicros))
    this.table = options.table
    this.writer = options.writer
  }

  /** The port, which the host has bound for this process. */
  open(port: number): Port {
    const local = new QueuePort(port, this, this.table, this.writer)
    this.ports.set(port, local)
    return local
  }

  /** Woken for nothing. */
  protected override unreadable(): void {}
}

const openFifo = (fifo: string): number => {
  // Opened for writing too, so that it never ends when the last writer closes it.
  const fd = fs.openSync(fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
  if (fs.fstatSync(fd).isFIFO()) return fd
  fs.closeSync(fd)
  throw new RangeError(`${fifo} is no FIFO`)
}

/** One port of this process. */
class QueuePort extends LocalPort {
  private readonly table: PortTable
  private readonly writer: EventWriter
  /** Whose the port at the other end is, as of the last event sent there. */
  private peerQueue = 0

  constructor(port: number, queue: EventQueue, table: PortTable, writer: EventWriter) {
    super(port, queue)
    this.table = table
    this.writer = writer
    // Its first event may have been here before the host's answer was.
    this.rung = table.isMasked(port)
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

  override mask(): void {
    this.table.mask(this.port)
  }

  override unmask(): boolean {
    return this.table.unmask(this.port)
  }

  override close(): void {
    super.close()
    this.address(0)
  }

  private address(queue: number): void {
    if (this.peerQueue !== 0) this.writer.release(this.peerQueue)
    if (queue !== 0) this.writer.retain(queue)
    this.peerQueue = queue
  }
}
