/**
 * The client's side of one connection: it says Hello, sends a request for each call, and settles the call straight from the read loop
 * when its reply comes. No fiber of its own. `ClientCalls` makes Effects and Streams of it.
 *
 * It belongs to the Scope that `VchanRpcClient` made it in. When the connection ends, every call in flight fails, once, and later calls
 * fail at once. An interrupted call leaves its id taken until the server has answered it, so both sides always agree on what is in flight.
 */
import type { Vchan } from "@vchan/vchan"
import { Deferred, Effect, Exit, Result, type Stream } from "effect"
import type { ClientCall } from "./ClientCall.ts"
import { codecsFor, type Negotiated } from "./ClientCodecs.ts"
import { type Asked, seal } from "./ClientEnvelope.ts"
import { exitOf } from "./ClientReply.ts"
import { ClientUpload } from "./ClientUpload.ts"
import type { Method, MethodCodecs } from "./Contract.ts"
import { chunkCost, creditOf, FrameType } from "./Frame.ts"
import { decodeHello, encodeHello, type Hello } from "./Hello.ts"
import type { Keepalive } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import { PendingCalls } from "./PendingCalls.ts"
import { messageOf } from "./planValues.ts"
import {
  BadReply,
  DeadlineExceeded,
  Draining,
  HandshakeRefused,
  HandshakeTimeout,
  MessageTooLarge,
  TooManyBytes,
  TooManyCalls,
  UnknownMethod,
  type VchanRpcError,
  type VchanRpcReason
} from "./RpcError.ts"
import { Session, type SessionHandler } from "./Session.ts"
import { itemsOf } from "./StreamReceiver.ts"
import { uploadCharge } from "./Upload.ts"

/** What a client asks of a connection. */
export interface ClientOptions {
  readonly service: string
  readonly methods: ReadonlyArray<Method>
  readonly limits: Limits
  /** How long the server may take to say Hello, in milliseconds. */
  readonly helloTimeout: number
  readonly keepalive: Keepalive
  /** Whether the server is asked for the shapes of all its methods. */
  readonly describe?: boolean | undefined
}

/** Over so many bytes that wait to be sent, credit waits until they are gone. */
const highWater = 256 * 1024

/** The engine: one for each connection. */
export class ClientEngine implements SessionHandler {
  /** The server shuts down: calls in flight come to their end, new ones fail with `Draining`. */
  readonly draining = Deferred.makeUnsafe<void>()
  readonly greeted = Deferred.makeUnsafe<Hello>()
  readonly ended = Deferred.makeUnsafe<VchanRpcError>()
  readonly session: Session
  readonly options: ClientOptions
  private readonly indexes: ReadonlyMap<Method, number>
  /** The calls that the server has not ended. */
  private readonly pending = new PendingCalls()
  /** The bytes of their payloads. */
  private used = 0
  private codecs: ReadonlyArray<Negotiated> = []
  private peer: Limits | undefined = undefined

  constructor(vchan: Vchan, options: ClientOptions) {
    this.options = options
    this.indexes = new Map(options.methods.map((method, index) => [method, index]))
    const { keepalive, limits: { memory }, service } = options
    // A client never stops reading, or two sides could wait for each other: what it has in flight bounds what can wait to be sent.
    const budget = { limit: memory, used: 0 }
    this.session = new Session({ vchan, service, keepalive, budget, memory: Infinity, highWater, mayStall: false })
  }

  /** Says Hello and waits for the server's. */
  readonly open: Effect.Effect<Hello, VchanRpcError> = Effect.suspend(() => {
    const { describe, helloTimeout, limits, methods, service } = this.options
    this.session.open(this)
    const entries = methods.map(({ fingerprint, name }) => ({ name, fingerprint }))
    this.session.out.send(FrameType.Hello, 0, 0, encodeHello({ service, limits, methods: entries, describe }))
    const silence = Effect.sync(() => this.session.refuse(new HandshakeTimeout({ waitedMillis: helloTimeout })))
    return Deferred.await(this.greeted).pipe(
      Effect.timeoutOrElse({ duration: helloTimeout, orElse: () => Effect.andThen(silence, Effect.never) }),
      Effect.raceFirst(Effect.flip(Deferred.await(this.ended)))
    )
  })

  onFrame(type: number, _method: number, id: number, body: Uint8Array): void {
    if (this.peer === undefined) {
      if (type === FrameType.Hello) this.hello(body)
      else this.session.refuse(new HandshakeRefused({ detail: "the first frame sent was no Hello" }))
      return
    }
    if (type === FrameType.GoingAway) return this.drain()
    const entry = this.pending.get(id)
    if (entry === undefined) {
      return this.session.violation(`a frame of type ${type} for call ${id}, which is not in flight`)
    }
    switch (type) {
      case FrameType.Chunk:
        return entry.isWanted ? this.chunk(entry, body) : undefined
      case FrameType.Credit:
        return this.credited(entry, body)
      case FrameType.Interrupt:
        return entry.upload === undefined ? this.noUpload(entry) : entry.upload.stop()
      case FrameType.Success:
      case FrameType.Failure:
      case FrameType.Defect:
      case FrameType.Refusal:
      case FrameType.End:
        if (type !== entry.end && (type === FrameType.End || type === FrameType.Success)) {
          return this.session.violation(`a frame of type ${type} for the method ${entry.method.name}`)
        }
        this.session.abandon(id)
        this.free(entry)
        if (entry.isWanted) {
          const { maxMessage } = this.options.limits
          this.settle(entry, exitOf(entry.method, this.codecsOf(entry.method), { type, body }, maxMessage, this.error(entry)))
        }
        return
      default:
        return this.session.violation(`a server sent a frame of type ${type}`)
    }
  }

  /** What a client may have in flight bounds what comes for it. */
  roomFor(): undefined {
    return undefined
  }

  onRoom(): void {
    for (const { isWanted, stream, upload } of this.pending) {
      if (isWanted) stream?.account(0)
      upload?.resume()
    }
  }

  onEnded(error: VchanRpcError): void {
    const entries = [...this.pending]
    this.pending.clear()
    for (const entry of entries) if (entry.isWanted) this.settle(entry, this.fail(entry, error.reason))
    Deferred.doneUnsafe(this.ended, Effect.succeed(error))
  }

  private drain(): void {
    if (!Deferred.doneUnsafe(this.draining, Effect.void)) return this.session.violation("a server goes away twice")
    this.leave()
  }

  /** The server need not wait for this client any more. */
  private leave(): void {
    if (this.pending.size === 0 && Deferred.isDoneUnsafe(this.draining)) this.session.out.sendEmpty(FrameType.GoingAway, 0, 0)
  }

  private hello(body: Uint8Array): void {
    const { limits, methods, service } = this.options
    const hello = decodeHello(body)
    if (Result.isFailure(hello)) return this.session.refuse(new HandshakeRefused({ detail: hello.failure }))
    const theirs = hello.success
    if (theirs.service !== service) {
      const detail = `${JSON.stringify(theirs.service.slice(0, 100))} answered, and ${JSON.stringify(service)} was asked for`
      return this.session.refuse(new HandshakeRefused({ detail }))
    }
    this.codecs = codecsFor(methods, theirs)
    this.peer = theirs.limits
    this.session.greet(limits, theirs.limits)
    Deferred.doneUnsafe(this.greeted, Effect.succeed(theirs))
  }

  /** Sends the request and puts the call in flight, or tells why not. */
  begin(entry: ClientCall, input: unknown, asked: Asked): Effect.Effect<never, VchanRpcError> | undefined {
    const { method } = entry
    const { peer, session } = this
    const index = this.indexes.get(method) ?? 0
    const codecs = this.codecs[index]
    if (session.ended !== undefined) return this.fail(entry, session.ended.reason)
    if (codecs === undefined || peer === undefined) return this.fail(entry, new UnknownMethod())
    if (Deferred.isDoneUnsafe(this.draining)) return this.fail(entry, new Draining())
    if ("_tag" in codecs) return this.fail(entry, codecs)
    if (this.pending.size >= peer.maxCalls) return this.fail(entry, new TooManyCalls({ limit: peer.maxCalls }))
    let payload: unknown
    try {
      payload = method.makePayload(input)
    } catch (cause) {
      return Effect.die(new Error(`the payload of ${method.name} does not fit its schema: ${messageOf(cause)}`, { cause }))
    }
    let items: Stream.Stream<unknown, unknown> | undefined
    if (method.upload !== undefined) {
      if (asked.options.discard === true) return Effect.die(new Error(`${method.name} takes a stream, and cannot be called with discard`))
      const parts = method.upload.split(payload)
      payload = parts.rest
      items = parts.stream
    }
    const body = codecs.payload.encode(payload)
    if (Result.isFailure(body)) return Effect.die(new Error(`the payload of ${method.name} cannot be encoded: ${body.failure}`))
    const envelope = seal(method, asked, peer.maxHeaders)
    if (envelope !== undefined && "_tag" in envelope) return this.fail(entry, envelope)
    let length = body.success.length + (envelope?.bytes.length ?? 0)
    if (length > peer.maxMessage) return this.fail(entry, new MessageTooLarge({ what: "payload", length, limit: peer.maxMessage }))
    if (items !== undefined) length += uploadCharge(peer)
    if (length > peer.memory - this.used) return this.fail(entry, new TooManyBytes({ what: "payload", length, limit: peer.memory }))
    this.pending.add(entry)
    entry.length = length
    this.used += length
    if (items !== undefined && codecs.upload !== undefined) {
      const onBroken = (why: Exit.Exit<never, MessageTooLarge>) => {
        this.drop(entry)
        entry.settle(Exit.mapError(why, this.error(entry)))
      }
      entry.upload = new ClientUpload({ items, asked, out: session.out, codecs: codecs.upload, peer, index, id: entry.id, onBroken })
    }
    const started = entry.upload && (() => entry.upload?.start())
    if (envelope === undefined) {
      session.out.send(FrameType.Request, index, entry.id, body.success, started)
    } else {
      const { bytes, timeout } = envelope
      if (timeout !== Infinity) entry.timer = setTimeout(() => this.expire(entry, timeout), timeout)
      session.out.sendEnveloped(index, entry.id, bytes, body.success, started)
    }
    return undefined
  }

  private credited(entry: ClientCall, body: Uint8Array): void {
    const count = creditOf(body)
    if (entry.upload === undefined || count === undefined) return this.noUpload(entry)
    if (!entry.upload.credit(count)) this.session.violation(`a credit of ${count} for more than was sent`)
  }

  private noUpload({ method }: ClientCall): void {
    this.session.violation(`a word on the items of a caller of ${method.name}, who gave none`)
  }

  private fail({ method }: ClientCall, reason: VchanRpcReason): Exit.Exit<never, VchanRpcError> {
    return Exit.fail(this.session.error(reason, method.name))
  }

  /** The deadline is over. The server knows it, too, but may be slow, or not a server to trust. */
  private expire(entry: ClientCall, allowedMillis: number): void {
    if (!entry.isWanted) return
    this.drop(entry)
    entry.settle(this.fail(entry, new DeadlineExceeded({ allowedMillis })))
  }

  private settle(entry: ClientCall, exit: Exit.Exit<unknown, unknown>): void {
    if (entry.timer !== undefined) clearTimeout(entry.timer)
    entry.settle(exit)
  }

  /** The caller no longer waits. The id stays taken until the server has ended the call, if it ever heard of it. */
  drop(entry: ClientCall): void {
    if (!entry.isWanted || this.pending.get(entry.id) !== entry) return
    clearTimeout(entry.timer)
    entry.isWanted = false
    entry.upload?.stop()
    const { out } = this.session
    if (out.cancel(entry.id) === "whole") this.free(entry)
    else out.sendEmpty(FrameType.Interrupt, this.indexes.get(entry.method) ?? 0, entry.id)
  }

  private free(entry: ClientCall): void {
    this.pending.delete(entry)
    this.used -= entry.length
    this.leave()
  }

  /** False where too much waits to be sent: a server that does not read must not make this side gather credit. */
  credit({ id }: ClientCall, count: number): boolean {
    const { out } = this.session
    if (out.isFull()) return false
    out.sendNumber(FrameType.Credit, 0, id, count)
    return true
  }

  private chunk(entry: ClientCall, body: Uint8Array): void {
    const { method, stream } = entry
    if (stream === undefined) return this.session.violation(`items for the method ${method.name}, which has none`)
    const items = itemsOf(this.codecsOf(method).success, body, this.options.limits.maxMessage)
    if (Result.isFailure(items)) {
      this.drop(entry)
      return entry.settle(this.fail(entry, new BadReply({ detail: items.failure })))
    }
    const cost = chunkCost(body.length, items.success.length)
    if (stream.mayTake(cost)) return stream.take(items.success, cost)
    this.session.violation(`more items of ${method.name} than its window of ${stream.window} bytes takes`)
  }

  private error({ method }: ClientCall) {
    return (reason: VchanRpcReason) => this.session.error(reason, method.name)
  }

  private codecsOf(method: Method): MethodCodecs {
    const codecs = this.codecs[this.indexes.get(method) ?? 0]
    return codecs === undefined || "_tag" in codecs ? method.json : codecs
  }
}
