/**
 * Events between ports of one process: an event wakes the listener in a later turn of the event loop.
 *
 * A port ends with `unbound`; its listener is not called after that.
 */
import type { Port, PortListener } from "../EventChannel.ts"

/** How often a listener may look in one turn, so that two busy ports leave the loop to others. */
const looksPerTurn = 64

class MemoryPort implements Port {
  readonly port: number
  peer: number = 0
  private readonly table: MemoryPorts
  private listener: PortListener | undefined
  private pending = false
  private ended = false
  private turn: NodeJS.Immediate | undefined

  constructor(table: MemoryPorts, port: number) {
    this.table = table
    this.port = port
  }

  readonly notifyUnsafe = (): void => this.table.raise(this.peer)

  readonly listenUnsafe = (listener: PortListener): void => {
    if (this.ended) return
    this.listener = listener
    if (this.pending) this.wake()
  }

  readonly expectUnsafe = (): void => this.wake()

  wake(): void {
    this.pending = true
    if (this.listener !== undefined) this.turn ??= setImmediate(this.run)
  }

  end(): void {
    this.ended = true
    this.listener = undefined
    this.peer = 0
    clearImmediate(this.turn)
  }

  private readonly run = (): void => {
    this.turn = undefined
    this.pending = false
    for (let looks = 0; looks < looksPerTurn; looks++) {
      if (this.listener === undefined) return
      if (!this.listener.look()) {
        if (this.listener?.arm() === true) this.wake()
        return
      }
    }
    this.wake()
  }
}

/** The ports of all domains of a host. */
export class MemoryPorts {
  private readonly ports = new Map<number, MemoryPort>()

  bound(port: number, peer: number): void {
    const known = this.ports.get(port) ?? new MemoryPort(this, port)
    known.peer = peer
    this.ports.set(port, known)
  }

  unbound(port: number): void {
    this.ports.get(port)?.end()
    this.ports.delete(port)
  }

  /** An event for a port; dropped where there is none. */
  raise(port: number): void {
    this.ports.get(port)?.wake()
  }

  portOf(port: number): Port {
    const known = this.ports.get(port)
    if (known === undefined) throw new Error(`port ${port} is not bound`)
    return known
  }
}
