/**
 * A server's end: rings that lie open for one client at a time, one after the other.
 *
 * The rings belong to the Scope of the server, a connection to the Scope in which it was opened. Grants, port and keys stay the same from
 * client to client, and the indexes go on. What a client leaves unread when it goes is dropped before the next one is let in. A client of
 * this package's waits a little for that. One that does not, and comes before this side has noticed that the former went, goes on with the
 * former's connection: the protocol has no sign of the change.
 */
import type { DomId, Port } from "@vchan/xen"
import { Deferred, Effect, type Scope, Semaphore } from "effect"
import { Connection } from "./Connection.ts"
import { Consumer, Producer, type RingMemory } from "./Ring.ts"
import { live, type SharedPage } from "./SharedPage.ts"
import type { Vchan } from "./Vchan.ts"
import { Closed, VchanError } from "./VchanError.ts"
import { keepIfItWorks } from "./Waiting.ts"

/** Rings that a client may connect to. */
export interface Server {
  /** The domid of the domain that may connect. */
  readonly domid: DomId
  readonly path: string
  /** The size in bytes of the ring that the server reads. */
  readonly readRing: number
  /** The size in bytes of the ring that the server writes. */
  readonly writeRing: number
  /**
   * The connection to the next client, at once: what is written before it comes is there when it does. The connection ends with its client,
   * or with its Scope, which sends the client away. One is open at a time: this waits until the former one's Scope has closed and its
   * client is gone.
   */
  readonly open: Effect.Effect<Vchan, VchanError, Scope.Scope>
  /** As `open`, and waits until the client is there. */
  readonly accept: Effect.Effect<Vchan, VchanError, Scope.Scope>
}

/** The server's end of one shared page. */
export class ServerEnd implements Server {
  readonly domid: DomId
  readonly path: string
  readonly readRing: number
  readonly writeRing: number
  private readonly page: SharedPage
  private readonly port: Port
  private readonly left: RingMemory
  private readonly right: RingMemory
  private reading = 0
  private writing = 0
  /** Where the next client's reading begins. */
  private begun = 0
  private readonly turn = Semaphore.makeUnsafe(1)
  private readonly ending = Deferred.makeUnsafe<never, VchanError>()
  private error: VchanError | undefined
  private closed = false
  private current: Connection | undefined
  /** A client was sent away and has not left yet. */
  private parting = false

  constructor(options: {
    readonly domid: DomId
    readonly path: string
    readonly page: SharedPage
    readonly port: Port
    readonly left: RingMemory
    readonly right: RingMemory
  }) {
    this.domid = options.domid
    this.path = options.path
    this.page = options.page
    this.port = options.port
    this.left = options.left
    this.right = options.right
    this.readRing = options.left.data.length
    this.writeRing = options.right.data.length
  }

  readonly open: Effect.Effect<Vchan, VchanError, Scope.Scope> = Effect.suspend(() => keepIfItWorks(this.next))

  readonly accept: Effect.Effect<Vchan, VchanError, Scope.Scope> = Effect.suspend(() =>
    keepIfItWorks(Effect.tap(this.next, (connection) => connection.connected))
  )

  /** Whether no client is known to be there. */
  get awaitsClient(): boolean {
    return this.error === undefined && (this.current === undefined || this.current.phase !== "connected")
  }

  /** The client's domain, or the store, is gone: there will be no other client. */
  end(reason: VchanError["reason"]): void {
    if (this.error !== undefined) return
    this.error = new VchanError({ domid: this.domid, path: this.path, reason })
    this.current?.end(reason)
    Deferred.doneUnsafe(this.ending, Effect.fail(this.error))
  }

  /** Says goodbye, and lets go of the memory. */
  close(): void {
    this.end(new Closed())
    this.current?.close()
    this.closed = true
    this.page.setLive("server", live.gone)
    this.port.notifyUnsafe()
  }

  private readonly next: Effect.Effect<Connection, VchanError, Scope.Scope> = Effect.gen({ self: this }, function*() {
    yield* this.unlessEnded(Semaphore.takeScoped(this.turn, 1))
    yield* this.unlessEnded(this.parted)
    return yield* Effect.acquireRelease(
      Effect.suspend(() => this.error === undefined ? Effect.succeed(this.begin()) : Effect.fail(this.error)),
      (connection) => Effect.sync(() => this.leave(connection))
    )
  })

  private begin(): Connection {
    const { begun, domid, left, page, path, port, right } = this
    const producer = new Producer(right, this.writing)
    const consumer = new Consumer(left, this.reading)
    const connection = new Connection({ role: "server", peer: domid, path, page, producer, consumer, port, begun })
    this.current = connection
    connection.start()
    return connection
  }

  private leave(connection: Connection): void {
    this.current = undefined
    if (this.closed) return
    const { phase } = connection
    connection.close()
    const positions = connection.positions
    this.reading = positions.reading
    this.writing = positions.writing
    this.parting = phase === "connected"
    if (phase === "left") this.renew()
  }

  /** Lets the next client in where the former one is gone. A client that has connected since is not disturbed. */
  private renew(): void {
    const reading = this.page.empty(this.writing)
    if (reading === undefined) return
    this.reading = reading
    this.begun = this.writing
    this.page.setLive("server", live.connected)
    this.page.awaitClient()
  }

  /** Waits until a client that was sent away is gone. */
  private readonly parted: Effect.Effect<void> = Effect.callback((resume) => {
    const look = (): boolean => {
      if (this.parting && !this.closed && this.page.live("client") !== live.connected) {
        this.parting = false
        this.renew()
      }
      if (!this.parting) resume(Effect.void)
      return false
    }
    if (this.parting) {
      this.port.listenUnsafe({ look, arm: look })
      this.port.expectUnsafe()
    }
    look()
  })

  private unlessEnded<R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, VchanError, R> {
    return Effect.raceFirst(Deferred.await(this.ending), effect)
  }
}
