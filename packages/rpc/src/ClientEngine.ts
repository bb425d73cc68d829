/**
 * The client's side of one connection: it says Hello, sends a request for each call, and settles the call straight from the read loop
 * when its reply comes. No fiber of its own. `ClientCalls` makes Effects and Streams of it.
 *
 * It belongs to the Scope that `VchanRpcClient` made it in. When the connection ends, every call in flight fails, once, and later calls
 * fail at once. An interrupted call leaves its id taken until the server has answered it, so both sides always agree on what is in flight.
 */
import type { Vchan } from "@vchan/vchan"
import { Deferred, Effect, Exit, Result } from "effect"
import type { ClientCall } from "./ClientCall.ts"
import { codecsFor, type Negotiated } from "./ClientCodecs.ts"
import type { Asked } from "./ClientEnvelope.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { exitOf } from "./ClientReply.ts"
import { requestOf } from "./ClientRequest.ts"
import { ClientUpload } from "./ClientUpload.ts"
import type { Method, MethodCodecs } from "./Contract.ts"
import { chunkCost, creditOf, FrameType } from "./Frame.ts"
import { encodeHello, greetingOf, type Hello } from "./Hello.ts"
import type { Limits } from "./Limits.ts"
import { PendingCalls } from "./PendingCalls.ts"
import {
  BadReply,
  CallsUnended,
  DeadlineExceeded,
  Draining,
  HandshakeRefused,
  HandshakeTimeout,
  type MessageTooLarge,
  TooManyBytes,
  TooManyCalls,
  UnknownMethod,
  type VchanRpcError,
  type VchanRpcReason
} from "./RpcError.ts"
import { Session, type SessionHandler } from "./Session.ts"
import { itemsOf } from "./StreamReceiver.ts"
import { uploadCharge } from "./Upload.ts"

/** Over so many bytes that wait to be sent, credit waits until they are gone. */
const highWater = 256 * 1024

/** So many calls that were given up may wait for the server to end them, or as many as this side's own limit of calls where that is more. */
const mostUnended = 4096

/** The engine: one for each connection. */
export class ClientEngine implements SessionHandler {
  /** No new calls are taken any more: the session has ended, or the server shuts down, and calls in flight come to their end. */
  readonly parted = Deferred.makeUnsafe<VchanRpcError>()
  readonly greeted = Deferred.makeUnsafe<Hello>()
  readonly ended = Deferred.makeUnsafe<VchanRpcError>()
  readonly session: Session
  readonly options: ClientOptions
  private readonly indexes: ReadonlyMap<Method, number>
  /** The calls that the server has not ended. */
  private readonly pending = new PendingCalls()
  /** The bytes of their payloads. */
  private used = 0
  private isDraining = false
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
      case FrameType.Interrupt:
        return entry.isWanted ? this.uploadWord(entry, type, body) : undefined
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
          const { method } = entry
          this.settle(entry, exitOf(method, this.codecsOf(method), type, body, this.options.limits.maxMessage, this.session))
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
    for (const entry of entries) if (entry.isWanted) this.settle(entry, this.fail(entry.method, error.reason))
    Deferred.doneUnsafe(this.parted, Effect.succeed(error))
    Deferred.doneUnsafe(this.ended, Effect.succeed(error))
  }

  /** Whether new calls are taken. */
  get isOpen(): boolean {
    return this.session.ended === undefined && !this.isDraining
  }

  private drain(): void {
    if (this.isDraining) return this.session.violation("a server goes away twice")
    this.isDraining = true
    Deferred.doneUnsafe(this.parted, Effect.succeed(this.session.error(new Draining())))
    this.leave()
  }

  /** The server need not wait for this client any more. */
  private leave(): void {
    if (this.pending.size === 0 && this.isDraining) this.session.out.sendEmpty(FrameType.GoingAway, 0, 0)
  }

  private hello(body: Uint8Array): void {
    const { limits, methods, service } = this.options
    const hello = greetingOf(body, service, ["answered", "was asked for"])
    if (Result.isFailure(hello)) return this.session.refuse(hello.failure)
    const theirs = hello.success
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
    if (session.ended !== undefined) return this.fail(method, session.ended.reason)
    if (codecs === undefined || peer === undefined) return this.fail(method, new UnknownMethod())
    if (this.isDraining) return this.fail(method, new Draining())
    if ("_tag" in codecs) return this.fail(method, codecs)
    if (this.pending.size >= peer.maxCalls) return this.fail(method, new TooManyCalls({ limit: peer.maxCalls }))
    const unended = this.pending.unwanted
    if (unended >= Math.max(mostUnended, this.options.limits.maxCalls)) return this.fail(method, new CallsUnended({ calls: unended }))
    const request = requestOf(method, codecs, peer, input, asked)
    if ("_tag" in request) return this.broken(method, request)
    const { body, envelope, items } = request
    let length = body.length + (envelope?.bytes.length ?? 0)
    if (items !== undefined) length += uploadCharge(peer)
    if (length > peer.memory - this.used) return this.fail(method, new TooManyBytes({ what: "payload", length, limit: peer.memory }))
    this.pending.add(entry)
    entry.length = length
    this.used += length
    // No function is made here, but where there is a stream or a deadline: each would cost every call.
    const started = items === undefined || codecs.upload === undefined
      ? undefined
      : this.upload(entry, { items, asked, codecs: codecs.upload, peer, index })
    if (envelope === undefined) {
      session.out.send(FrameType.Request, index, entry.id, body, started)
    } else {
      if (envelope.timeout !== Infinity) this.limit(entry, envelope.timeout)
      session.out.sendEnveloped(index, entry.id, envelope.bytes, body, started)
    }
    return undefined
  }

  /** Gives the call its upload, and what begins it once the request has gone. */
  private upload(entry: ClientCall, options: Omit<ConstructorParameters<typeof ClientUpload>[0], "id" | "out" | "onBroken">): () => void {
    const onBroken = (why: Exit.Exit<never, MessageTooLarge>) => {
      this.drop(entry)
      entry.settle(this.broken(entry.method, why))
    }
    const upload = new ClientUpload({ ...options, out: this.session.out, id: entry.id, onBroken })
    entry.upload = upload
    return () => upload.start()
  }

  private limit(entry: ClientCall, timeout: number): void {
    entry.timer = setTimeout(() => this.expire(entry, timeout), timeout)
  }

  /** The server has taken items of the caller's, or wants no more. */
  private uploadWord({ method, upload }: ClientCall, type: number, body: Uint8Array): void {
    const count = type === FrameType.Credit ? creditOf(body) : 0
    if (upload === undefined || count === undefined) {
      return this.session.violation(`a word on items of a caller of ${method.name}, who gave none`)
    }
    if (type === FrameType.Interrupt) return upload.stop()
    if (!upload.credit(count)) this.session.violation(`a credit of ${count} for more than was sent`)
  }

  private fail({ name }: Method, reason: VchanRpcReason): Exit.Exit<never, VchanRpcError> {
    return Exit.fail(this.session.error(reason, name))
  }

  private broken({ name }: Method, why: Exit.Exit<never, VchanRpcReason>): Exit.Exit<never, VchanRpcError> {
    return Exit.mapError(why, (reason) => this.session.error(reason, name))
  }

  /** The deadline is over. The server knows it, too, but may be slow, or not a server to trust. */
  private expire(entry: ClientCall, allowedMillis: number): void {
    if (!entry.isWanted) return
    this.drop(entry)
    entry.settle(this.fail(entry.method, new DeadlineExceeded({ allowedMillis })))
  }

  private settle(entry: ClientCall, exit: Exit.Exit<unknown, unknown>): void {
    if (entry.timer !== undefined) clearTimeout(entry.timer)
    entry.settle(exit)
  }

  /** The caller no longer waits. The id stays taken until the server has ended the call, if it ever heard of it. */
  drop(entry: ClientCall): void {
    if (!entry.isWanted || this.pending.get(entry.id) !== entry) return
    clearTimeout(entry.timer)
    const { out } = this.session
    const isUnsent = out.cancel(entry.id, FrameType.Request) === "whole"
    if (isUnsent) this.free(entry)
    else this.pending.giveUp(entry)
    entry.isWanted = false
    entry.upload?.stop()
    if (isUnsent) return
    // What is left of its upload need not go.
    out.cancel(entry.id)
    out.sendEmpty(FrameType.Interrupt, this.indexes.get(entry.method) ?? 0, entry.id)
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
      return entry.settle(this.fail(method, new BadReply({ detail: items.failure })))
    }
    const cost = chunkCost(body.length, items.success.length)
    if (stream.mayTake(cost)) return stream.take(items.success, cost)
    this.session.violation(`more items of ${method.name} than its window of ${stream.window} bytes takes`)
  }

  private codecsOf(method: Method): MethodCodecs {
    const codecs = this.codecs[this.indexes.get(method) ?? 0]
    return codecs === undefined || "_tag" in codecs ? method.json : codecs
  }
}
