/**
 * One side of an open connection: the product's own, with an application that sends, receives and closes at any time, and a port as the
 * backends have it.
 *
 * A port is awake after an event and after `expectUnsafe`. It is put to sleep as soon as a look finds nothing, which is the earliest that
 * a backend does; whether one looks a few times more makes no state that is not there anyhow.
 */
import { Effect, Exit } from "effect"
import { Connection } from "../../packages/vchan/src/Connection.ts"
import { Consumer, Producer, type RingMemory } from "../../packages/vchan/src/Ring.ts"
import { liveAt, SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import type { Vchan, VchanListener } from "../../packages/vchan/src/Vchan.ts"
import type { VchanError } from "../../packages/vchan/src/VchanError.ts"
import type { Program } from "./access.ts"
import { fakePort, fibers } from "./backend.ts"
import { fingerprint } from "./fingerprint.ts"
import { bytesFrom, checkBytes } from "./ringSides.ts"
import type { World } from "./world.ts"

/** What a side's application does. */
export interface Plan {
  /** The lengths of its messages, each written as far as space comes. */
  readonly sends?: ReadonlyArray<number>
  /** How many bytes it awaits; it takes all that come. */
  readonly receives?: number
  /** How many it takes at once. */
  readonly most?: number
  /** Closes once it has sent all and received what it awaits. */
  readonly closes?: boolean
}

/** What the product is made of. */
export interface Parts {
  readonly connection: new(options: ConstructorParameters<typeof Connection>[0]) => Connection
  readonly producer: new(memory: RingMemory) => Producer
  readonly consumer: new(memory: RingMemory) => Consumer
}

export const honest: Parts = { connection: Connection, producer: Producer, consumer: Consumer }

type Role = Vchan["role"]

class Application implements VchanListener {
  received = 0
  /** How much of all messages is written, and where the current one ends. */
  sent = 0
  private end = 0
  private next = 0
  error: string | undefined
  private readonly plan: Plan
  private readonly vchan: Vchan

  constructor(plan: Plan, vchan: Vchan) {
    this.plan = plan
    this.vchan = vchan
  }

  get done(): boolean {
    const { receives = 0, sends = [] } = this.plan
    return this.sent === this.end && this.next === sends.length && this.received >= receives && this.plan.closes !== true
  }

  /** What the application may do now of its own accord. */
  get wish(): "send" | "close" | undefined {
    const { closes = false, receives = 0, sends = [] } = this.plan
    if (this.sent < this.end) return undefined
    if (this.next < sends.length) return "send"
    return closes && this.received >= receives ? "close" : undefined
  }

  send(): void {
    this.end += this.plan.sends?.[this.next++] ?? 0
    this.writable()
  }

  readonly writable = (): void => {
    const left = this.end - this.sent
    const count = this.vchan.writeUnsafe(bytesFrom(this.sent, left), 0, left)
    this.sent += count
    if (count < left) this.vchan.wantSpaceUnsafe()
  }

  readonly readable = (): void => {
    const { most = 8 } = this.plan
    const bytes = new Uint8Array(most)
    const count = this.vchan.readUnsafe(bytes, 0, most)
    checkBytes(bytes, this.received, count)
    this.received += count
  }

  readonly ended = (error: VchanError): void => {
    this.error = error.reason._tag
  }
}

/** Runs a side; its result is how many bytes it received. */
export const connectionSide = ({ left, page, right }: World, role: Role, plan: Plan, parts: Parts = honest): Program => (environment) => {
  const shared = new SharedPage(page)
  const [reads, writes] = role === "server" ? [left, right] : [right, left]
  const producer = new parts.producer(shared.ring(role, "write", Math.log2(writes.byteLength), writes))
  const consumer = new parts.consumer(shared.ring(role, "read", Math.log2(reads.byteLength), reads))
  const port = fakePort(environment)
  const connection = new parts.connection({ role, peer: 1, path: "", page: shared, producer, consumer, port, begun: producer.position })
  const application = new Application(plan, connection)
  connection.start()
  connection.listenUnsafe(application)
  const mark = (phase: string): void => environment.mark(`${phase}${port.awake}${fingerprint([connection, application])}`)
  for (;;) {
    environment.drain()
    if (application.error !== undefined) break
    mark("turn")
    const { done, wish } = application
    const otherwise = wish !== undefined
    if (port.awake ? otherwise && environment.choose(2) === 1 : !environment.wait({ done, otherwise })) {
      if (wish === "send") application.send()
      else break
      continue
    }
    port.awake = true
    if (connection.look()) continue
    mark("arm")
    port.awake = connection.arm()
  }
  if (application.error !== undefined && application.error !== "PeerGone") throw new Error(`the connection ended with ${application.error}`)
  connection.close()
  environment.drain()
  // The kernel, as the mapping goes.
  environment.clear(page, liveAt[role])
  environment.notify()
  return application.received
}

/** What a side's fibers do: one writes messages, the other reads as many bytes as each of its own has. */
export interface FiberPlan {
  readonly sends?: ReadonlyArray<number>
  readonly receives?: ReadonlyArray<number>
  /** Whether a message goes and comes at once, or piece by piece. */
  readonly packets: boolean
}

/** Runs a side whose application are fibers. */
export const fiberSide =
  ({ left, page, right }: World, role: Role, { packets, receives = [], sends = [] }: FiberPlan): Program => (environment) => {
    const shared = new SharedPage(page)
    const [reads, writes] = role === "server" ? [left, right] : [right, left]
    const producer = new Producer(shared.ring(role, "write", Math.log2(writes.byteLength), writes))
    const consumer = new Consumer(shared.ring(role, "read", Math.log2(reads.byteLength), reads))
    const port = fakePort(environment)
    const vchan = new Connection({ role, peer: 1, path: "", page: shared, producer, consumer, port, begun: producer.position })
    vchan.start()
    const { fork, settle } = fibers(environment)
    const progress = { sent: 0, received: 0 }
    const sending = fork(Effect.forEach(sends, (length) =>
      Effect.suspend(() => {
        const bytes = bytesFrom(progress.sent, length)
        return Effect.map(packets ? vchan.send(bytes) : vchan.write(bytes), () => {
          progress.sent += length
        })
      })))
    const receiving = fork(Effect.forEach(receives, (length) =>
      Effect.suspend(() => {
        const bytes = new Uint8Array(length)
        return Effect.map(packets ? Effect.as(vchan.receive(bytes), length) : vchan.readInto(bytes), (count) => {
          checkBytes(bytes, progress.received, count)
          progress.received += count
        })
      })))
    for (;;) {
      settle()
      environment.mark(`${port.awake}${fingerprint([vchan, progress])}`)
      const exits = [sending.pollUnsafe(), receiving.pollUnsafe()]
      for (const exit of exits) if (exit !== undefined && Exit.isFailure(exit)) throw new Error(String(exit.cause))
      if (!port.awake) environment.wait({ done: exits.every((exit) => exit !== undefined) })
      const looked = vchan.look()
      settle()
      port.awake = looked || vchan.arm()
    }
  }

/** What the kernel does for a side that was killed. */
export const afterDeath = ({ page }: World, role: Role): Program => (environment) => {
  environment.clear(page, liveAt[role])
  environment.notify()
  return -1
}
