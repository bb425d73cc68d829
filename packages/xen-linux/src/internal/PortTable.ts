/**
 * The port table that all processes of an emulated host see: a shared file with 16 bytes for each port, so that ringing a port costs no
 * word with the host.
 *
 * | word | holds | written by |
 * |--|--|--|
 * | 0 | flags | whoever rings or answers |
 * | 1 | the queue that the port's events go to; 0: no such port | the host |
 * | 2 | the port at the other end; 0: none | the host |
 * | 3 | nothing yet | |
 *
 * As on `/dev/xen/evtchn`, an event that was delivered masks its port until the owner unmasks it; what comes meanwhile only sets the
 * pending bit. Belongs to whoever mapped the file. Any process of the host's user can write anything here: each word is read once and
 * checked.
 */

/** The bytes of one port in the table. */
export const bytesPerPort = 16

const wordsPerPort = bytesPerPort / 4
const PENDING = 1
const MASKED = 2

/** A mapped port table. */
export class PortTable {
  private readonly words: Int32Array
  private readonly limit: number

  constructor(buffer: ArrayBuffer) {
    this.words = new Int32Array(buffer)
    this.limit = Math.floor(buffer.byteLength / bytesPerPort)
  }

  /** The queue of the port's owner; 0 where there is no such port. */
  queueOf(port: number): number {
    return this.word(port, 1)
  }

  /** The port at the other end; 0 where there is none. */
  peerOf(port: number): number {
    return this.word(port, 2)
  }

  /**
   * Leaves an event on the port; true when its owner has to be told through its queue. The host tells it `again` where only a mask is seen:
   * the process that left it there may have been killed before it told.
   */
  raise(port: number, again = false): boolean {
    if (!this.has(port)) return false
    const index = port * wordsPerPort
    for (;;) {
      const flags = Atomics.load(this.words, index)
      const next = flags === 0 ? MASKED : flags | PENDING
      if (flags === next) return false
      if (Atomics.compareExchange(this.words, index, flags, next) === flags) return flags === 0 || again
    }
  }

  /** Whether an event was delivered and not yet unmasked. */
  isMasked(port: number): boolean {
    return this.word(port, 0) !== 0
  }

  /** From now on events only set the pending bit. */
  mask(port: number): void {
    if (this.has(port)) Atomics.or(this.words, port * wordsPerPort, MASKED)
  }

  /** From now on the first event is delivered again; true when one came while the port was masked. */
  unmask(port: number): boolean {
    return this.has(port) && (Atomics.exchange(this.words, port * wordsPerPort, 0) & PENDING) !== 0
  }

  /** Host only: the port came to be, or its other end changed. */
  bind(port: number, queue: number, peer: number): void {
    if (!this.has(port)) return
    // An event that came too late for the port's last owner is not to mask it for the new one.
    if (this.queueOf(port) === 0) Atomics.store(this.words, port * wordsPerPort, 0)
    Atomics.store(this.words, port * wordsPerPort + 2, peer)
    Atomics.store(this.words, port * wordsPerPort + 1, queue)
  }

  /** Host only: the port is gone. */
  unbind(port: number): void {
    if (this.has(port)) this.words.fill(0, port * wordsPerPort, (port + 1) * wordsPerPort)
  }

  private has(port: number): boolean {
    return port > 0 && port < this.limit
  }

  private word(port: number, offset: number): number {
    return this.has(port) ? Atomics.load(this.words, port * wordsPerPort + offset) : 0
  }
}
