/**
 * Where the events of one process come from, and how it waits for them: the same for the emulated host's FIFO and for Xen's device, which
 * both tell the numbers of rung ports, 4 bytes each in the machine's byte order, through a file that Node's own loop polls.
 *
 * After activity on a port the process looks about for a short while ({@link Spin}), giving its CPU away between looks: where the peer is
 * awake, the answer is mostly there before sleep and wake-up would be over. A port that stays quiet is armed and sleeps: only an event wakes
 * it. So an idle process costs no CPU. After each look that found work, and at least every 100 microseconds, the loop gets its turn
 * (`setImmediate`), so promises, timers and other I/O go on under any traffic.
 *
 * A peer may ring without end and for nothing. A port whose events brought no work many times in a row is left alone for a while before it is
 * armed again, longer and longer, as the kernel does with spurious events (XSA-332): such a storm costs a few looks a second.
 *
 * A source belongs to the Scope it was opened in, and owns its file. Nothing in here is allocated per event.
 */
import type { Port, PortListener } from "@vchan/xen"
import * as fs from "node:fs"
import * as libc from "./libc.ts"
import type { Spin } from "./Spin.ts"

/** For how long ports are looked at before the loop gets its turn, in milliseconds. */
const longestTurn = 0.1

/** How many events in a row a port may have for nothing. An honest peer that takes bytes one by one, of which many are awaited, rings so, too. */
const patience = 256

/** The longest time that a port is left alone, in milliseconds: the first is one, and each is twice as long as the one before. */
const longestRest = 128

/** Reads one file of events and keeps the ports that they are for. */
export abstract class EventSource<P extends LocalPort> {
  readonly fd: number
  protected readonly ports = new Map<number, P>()
  private readonly spin: Spin
  private poll: { readonly close: () => void }
  private readonly awake: Array<LocalPort> = []
  private readonly events = new Uint32Array(256)
  private readonly bytes = new Uint8Array(this.events.buffer)
  private scheduled = false
  /** When something last happened, as `performance.now` counts, and whether it was looked for in vain since. */
  private busyAt = 0
  private waiting = false
  /** A port that was awake was woken since the last look. */
  private expects = false
  /** All ports sleep since the process was last busy. */
  private asleep = false

  /** Takes the file over: one that can be polled, and that does not block. */
  constructor(fd: number, spin: Spin) {
    this.fd = fd
    this.spin = spin
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
    if (local.awake) {
      // Every write of a busy program comes here: the time is told by the next look.
      local.expects = true
      this.expects = true
      return
    }
    this.busyAt = performance.now()
    local.until = this.busyAt + this.spin.window
    if (this.awake.length === 0) this.waiting = false
    this.asleep = false
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
    if (this.asleep) this.spin.woken(performance.now() - this.busyAt)
    this.asleep = false
    for (let index = 0; index < length >> 2; index++) this.ports.get(this.events[index] ?? 0)?.ring()
  }

  private readonly turn = (): void => {
    this.scheduled = false
    let now = performance.now()
    const end = now + Math.min(this.spin.window, longestTurn)
    while (this.awake.length > 0) {
      if (this.expects) this.busyAt = now
      this.expects = false
      const since = this.busyAt
      const progress = this.look(now)
      if (this.awake.length === 0) return
      if (progress) {
        if (this.waiting) this.spin.hit(now - since)
        this.waiting = false
        this.busyAt = performance.now()
        return this.schedule()
      }
      this.waiting = true
      now = performance.now()
      if (now >= end) return this.schedule()
      libc.schedYield()
    }
  }

  /** Looks at each port that is awake, and puts to sleep those that were quiet for long enough; true when there was work. */
  private look(now: number): boolean {
    let progress = false
    // Listeners may wake, close and open ports: one that changes places is looked at in the next round.
    for (let index = 0; index < this.awake.length; index++) {
      const local = this.awake[index]
      if (local?.listener === undefined) continue
      const { listener } = local
      if (local.expects) local.until = now + this.spin.window
      local.expects = false
      if (listener.look()) {
        progress = true
        local.vain = 0
        local.until = performance.now() + this.spin.window
      } else if (now >= local.until && !local.expects && local.awake) {
        this.sleep(local, listener)
      }
    }
    return progress
  }

  /** The port sleeps, unless something came at the last moment. */
  private sleep(local: LocalPort, listener: PortListener): void {
    local.expects = false
    if (local.vain > patience && !local.rested) return this.rest(local)
    local.rested = false
    const rung = local.unmask()
    if (rung) local.vain++
    const stays = rung || listener.arm()
    if (!local.awake) return
    // Whoever expects something since then has not been asked to arm.
    if (stays || local.expects) return local.mask()
    this.leave(local)
  }

  /** The port stays masked: what comes meanwhile is found afterwards. */
  private rest(local: LocalPort): void {
    const millis = Math.min(2 ** (local.vain - patience - 1), longestRest)
    local.rested = true
    clearTimeout(local.timer)
    local.timer = setTimeout(() => this.wake(local), millis)
    this.leave(local)
  }

  /** Nobody looks at the port any more until it is woken. */
  private leave(local: LocalPort): void {
    this.remove(local)
    if (this.awake.length > 0) return
    this.spin.missed()
    this.waiting = false
    this.asleep = true
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
  /** It was woken while awake, and from the next look on stays so for as long as one that wakes. */
  expects = false
  /** The events since there was work. */
  vain = 0
  /** The port was left alone for a while, and has not been armed since. */
  rested = false
  timer: NodeJS.Timeout | undefined = undefined
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
    this.vain++
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
    clearTimeout(this.timer)
  }
}
