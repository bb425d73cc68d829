/**
 * A server that takes one client after the other, and clients that come, talk and go: the product's `ServerEnd` and connections, on one page.
 *
 * Keys and pages are not part of it: a client comes as `Handshake` has it from where it has mapped the page, and the kernel does as it does
 * when the page is unmapped. As there, the port is unbound after that, so the next client comes later.
 */
import { Effect, Exit, Scope } from "effect"
import { Connection } from "../../packages/vchan/src/Connection.ts"
import { Consumer, Producer } from "../../packages/vchan/src/Ring.ts"
import { ServerEnd } from "../../packages/vchan/src/Server.ts"
import { live, liveAt, SharedPage } from "../../packages/vchan/src/SharedPage.ts"
import type { Vchan, VchanListener } from "../../packages/vchan/src/Vchan.ts"
import type { VchanError } from "../../packages/vchan/src/VchanError.ts"
import type { Environment, Program } from "./access.ts"
import { fakePort, fibers } from "./backend.ts"
import { fingerprint } from "./fingerprint.ts"
import type { World } from "./world.ts"

/** What a client does: sends so many bytes, waits for its echo, and goes. */
export interface Visit {
  readonly sends: number
  /** Goes without waiting for the echo. */
  readonly impatient?: boolean
  /** Waits before it connects until the server has let go of the former client, as this package's clients do for a while. */
  readonly waitsTurn?: boolean
}

/** The byte that tells whose it is, and its place in what that one sends. */
const byteOf = (who: number, place: number): number => 1 + who * 16 + place

/** Hears all that comes, and says what it has to. */
class Talk implements VchanListener {
  readonly heard: Array<number> = []
  readonly toSay: Array<number>
  error: string | undefined
  private readonly vchan: Vchan
  private readonly echoes: boolean

  constructor(vchan: Vchan, toSay: ReadonlyArray<number>, echoes: boolean) {
    this.vchan = vchan
    this.toSay = [...toSay]
    this.echoes = echoes
  }

  readonly writable = (): void => {
    if (this.toSay.length === 0) return
    this.toSay.splice(0, this.vchan.writeUnsafe(Uint8Array.from(this.toSay), 0, this.toSay.length))
    if (this.toSay.length > 0) this.vchan.wantSpaceUnsafe()
  }

  readonly readable = (): void => {
    const bytes = new Uint8Array(8)
    const count = this.vchan.readUnsafe(bytes, 0, 8)
    this.heard.push(...bytes.subarray(0, count))
    if (!this.echoes) return
    this.toSay.push(...bytes.subarray(0, count))
    this.writable()
  }

  readonly ended = (error: VchanError): void => {
    this.error = error.reason._tag
  }
}

export interface Serving {
  /** Sends each client away when it has been answered. */
  readonly sendsAway?: boolean
  readonly page?: new(buffer: ArrayBuffer) => SharedPage
}

/** Takes one client after the other, and echoes what they say. */
export const serving =
  ({ left, page, right }: World, { page: Page = SharedPage, sendsAway = false }: Serving = {}): Program => (environment) => {
    const shared = new Page(page)
    const port = fakePort(environment)
    const server = new ServerEnd({
      domid: 1,
      path: "",
      page: shared,
      port,
      left: shared.ring("server", "read", Math.log2(left.byteLength), left),
      right: shared.ring("server", "write", Math.log2(right.byteLength), right)
    })
    const { fork, settle } = fibers(environment)
    // The explorer is done when all clients were there, so it does not matter how many this side would take.
    for (;;) {
      const scope = Scope.makeUnsafe()
      let talk: Talk | undefined
      const fiber = fork(
        Effect.map(Scope.provide(server.open, scope), (vchan) => {
          talk = new Talk(vchan, [], true)
          vchan.listenUnsafe(talk)
        })
      )
      settle()
      for (;;) {
        environment.mark(`${port.awake}${talk === undefined}${fingerprint([server, talk])}`)
        if (talk?.error !== undefined) break
        if (sendsAway && talk !== undefined && talk.heard.length > 0 && talk.toSay.length === 0) break
        const exit = fiber.pollUnsafe()
        if (exit !== undefined && Exit.isFailure(exit)) throw new Error(`open failed: ${exit.cause}`)
        if (!port.awake) {
          environment.wait({ done: true })
          port.awake = true
        }
        const listener = port.listener()
        const looked = listener?.look() ?? false
        settle()
        if (looked || talk?.error !== undefined) continue
        port.awake = listener?.arm() ?? false
        settle()
      }
      if (talk.error !== undefined && talk.error !== "PeerGone") throw new Error(`the server's connection ended with ${talk.error}`)
      fork(Scope.close(scope, Exit.void))
      settle()
    }
  }

export interface Visiting {
  /** Whether the server may send the client away. */
  readonly sentAway?: boolean
  /** The name of the first one: each has its own bytes. */
  readonly first?: number
}

/** Comes once for each visit; its result is how many were answered. */
export const visiting =
  (world: World, visits: ReadonlyArray<Visit>, { first = 0, sentAway = false }: Visiting = {}): Program => (environment) => {
    let answered = 0
    visits.forEach((visit, index) => {
      const who = first + index
      environment.mark(`${who} ${answered}`)
      environment.bind()
      const connection = come(world, environment, visit, `${who} ${answered}`)
      const says = Array.from({ length: visit.sends }, (_, at) => byteOf(who, at))
      const talk = new Talk(connection.vchan, says, false)
      connection.vchan.listenUnsafe(talk)
      talk.writable()
      const { port, vchan } = connection
      for (;;) {
        environment.drain()
        environment.mark(`${who} ${answered} ${port.awake}${fingerprint([vchan, talk])}`)
        if (talk.heard.some((byte, at) => byte !== says[at])) throw new Error(`visit ${who} heard ${talk.heard}`)
        if (talk.toSay.length === 0 && (visit.impatient === true || talk.heard.length === says.length)) {
          answered++
          break
        }
        if (talk.error === "PeerGone" && sentAway) break
        if (talk.error !== undefined) throw new Error(`visit ${who} ended with ${talk.error}`)
        if (!port.awake) environment.wait({ done: false })
        port.awake = vchan.look() || vchan.arm()
      }
      vchan.close()
      environment.drain()
      // The kernel, as the mapping goes.
      environment.clear(world.page, liveAt.client)
      environment.notify()
    })
    return answered
  }

/** From where the page is mapped to the open connection, as `Handshake` has it. */
const come = ({ left, page, right }: World, environment: Environment, { waitsTurn = false }: Visit, state: string) => {
  const shared = new SharedPage(page)
  const port = fakePort(environment)
  if (waitsTurn) {
    while (shared.live("client") === live.gone && !shared.isGone("server")) environment.mark(`${state} waits`)
  }
  while (shared.isGone("server")) environment.mark(`${state} refused`)
  const producer = new Producer(shared.ring("client", "write", Math.log2(left.byteLength), left))
  const consumer = new Consumer(shared.ring("client", "read", Math.log2(right.byteLength), right))
  const vchan = new Connection({ role: "client", peer: 1, path: "", page: shared, producer, consumer, port, begun: producer.position })
  shared.setLive("client", live.connected)
  shared.greet("client")
  port.notifyUnsafe()
  vchan.start()
  return { port, vchan }
}

/** What the kernel does for a client that was killed, and then the next client's visit. */
export const afterDeath = (world: World, next: Visit): Program => (environment) => {
  environment.clear(world.page, liveAt.client)
  environment.notify()
  return visiting(world, [next], { first: 8 })(environment)
}
