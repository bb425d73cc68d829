/**
 * The server's side of one connection: it answers the client's Hello, runs a handler for each request, and sends what it gives.
 *
 * It belongs to the fiber that runs `serveVchan`, and ends with the connection or with that fiber. Then every handler is interrupted, its
 * finalizers run, and only after that `serveVchan` is done. One fiber for each call, none for frames.
 *
 * The client is not trusted: calls in flight, frames, and what streams may have in memory are bounded, and what breaks the protocol closes
 * this connection and no other.
 */
import { Closed, type Vchan, VchanError } from "@vchan/vchan"
import { Cause, Deferred, Effect, type Exit, Result } from "effect"
import { Headers } from "effect/http"
import type { Budget } from "./Assembly.ts"
import type { CallFacts, ServedMethod, UploadCodecs } from "./Contract.ts"
import { decodeEnvelope, type Envelope } from "./Envelope.ts"
import { creditOf, Flag, FrameType } from "./Frame.ts"
import { encodeHello, entriesFor, greetingOf } from "./Hello.ts"
import { type Keepalive, longestTimer } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import type { Bucket, Rate } from "./Rate.ts"
import {
  BadPayload,
  ConnectionLost,
  Draining,
  HandshakeRefused,
  HeadersTooLarge,
  Interrupted,
  TooManyBytes,
  TooManyCalls,
  UnknownMethod,
  type VchanRpcError
} from "./RpcError.ts"
import { ServerAnswers } from "./ServerAnswers.ts"
import { ServerCall } from "./ServerCall.ts"
import { ServerCalls } from "./ServerCalls.ts"
import { type Target, targetsOf } from "./ServerTarget.ts"
import { ServerUpload } from "./ServerUpload.ts"
import { Session, type SessionHandler } from "./Session.ts"
import { StreamSender } from "./StreamSender.ts"
import { isTraced, withServerSpan } from "./Tracing.ts"
import { uploadCharge } from "./Upload.ts"

/** What all connections of a server share. */
export interface ServerOptions {
  readonly service: string
  readonly methods: ReadonlyMap<string, ServedMethod>
  readonly limits: Limits
  /** How long a client may take to say Hello, in milliseconds. */
  readonly helloTimeout: number
  /** The bytes that may wait for the client before nothing more is read from it. */
  readonly highWater: number
  readonly keepalive: Keepalive
  /** The milliseconds that a handler may run. */
  readonly maxTime: number
  readonly rate: Rate | undefined
  /** The milliseconds that calls which run have left when the server ends. */
  readonly grace: number
}

/** The milliseconds that a client may take to read so much that the last answers fit in the ring. */
const patience = 1000

const noEnvelope: Envelope = {}
const emitNothing = () => Effect.void

/** The engine: one for each connection. */
export class ServerEngine implements SessionHandler {
  readonly greeted = Deferred.makeUnsafe<void>()
  readonly ended = Deferred.makeUnsafe<VchanRpcError>()
  readonly session: Session
  private readonly options: ServerOptions
  private readonly client: CallFacts["client"]
  private readonly answers: ServerAnswers
  /** What requests take, from their first segment to the end of their call. */
  private readonly budget: Budget
  private readonly calls: ServerCalls
  private table: ReadonlyArray<Target | undefined> = []
  private peer: Limits | undefined = undefined
  /** What its domain may ask for. */
  private readonly bucket: Bucket | undefined
  /** Nothing is left to do for the client, or no time to do it. */
  private readonly parted = Deferred.makeUnsafe<void>()
  private draining = false
  private clientLeft = false

  constructor(vchan: Vchan, options: ServerOptions, client: CallFacts["client"]) {
    this.options = options
    this.client = client
    this.bucket = options.rate?.of(vchan.peer)
    this.budget = { limit: options.limits.memory, used: 0 }
    this.session = new Session({ ...options, vchan, budget: this.budget, memory: options.limits.memory, mayStall: true })
    this.answers = new ServerAnswers(this.session)
    this.calls = new ServerCalls(this.budget)
  }

  onFrame(type: number, method: number, id: number, body: Uint8Array, flags: number): void {
    if (this.peer === undefined) {
      if (type === FrameType.Hello) this.hello(body)
      else this.session.refuse(new HandshakeRefused({ detail: "the first frame sent was no Hello" }))
      return
    }
    switch (type) {
      case FrameType.Request:
        return flags === Flag.Envelope ? this.enveloped(this.peer, method, id, body) : this.request(this.peer, method, id, body, noEnvelope)
      case FrameType.Chunk:
      case FrameType.End:
      case FrameType.Failure:
        return this.uploaded(type, id, body)
      case FrameType.Interrupt:
        return this.interrupted(method, id)
      case FrameType.Credit:
        return this.credit(id, body)
      case FrameType.GoingAway:
        return this.leave()
      default:
        return this.session.violation(`a client sent a frame of type ${type}`)
    }
  }

  /** Nobody wants the chunks of a call that is over. */
  roomFor(id: number): number {
    return this.calls.get(id)?.upload?.room ?? 0
  }

  onRoom(): void {
    for (const call of this.calls) call.resume()
  }

  onEnded(error: VchanRpcError): void {
    this.calls.abandon()
    Deferred.doneUnsafe(this.parted, Effect.void)
    Deferred.doneUnsafe(this.ended, Effect.succeed(error))
  }

  /** Lets the calls that run come to their end for as long as there is grace, then interrupts those that are left, and waits for the last. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { grace } = this.options
    const { session } = this
    // Callbacks, for the fiber that closes has been interrupted: nothing that it waits for can be.
    const timer = setTimeout(() => Deferred.doneUnsafe(this.parted, Effect.void), Math.min(grace, longestTimer))
    this.draining = true
    if (this.peer === undefined || grace <= 0) Deferred.doneUnsafe(this.parted, Effect.void)
    else session.out.sendEmpty(FrameType.GoingAway, 0, 0)
    return Effect.gen({ self: this }, function*() {
      yield* Deferred.await(this.parted)
      clearTimeout(timer)
      this.calls.interrupt()
      yield* this.calls.drained
      yield* Effect.callback<void>((resume) => {
        const timer = setTimeout(() => resume(Effect.void), Math.min(grace, patience))
        session.out.finish(() => {
          clearTimeout(timer)
          resume(Effect.void)
        })
      })
      const { vchan } = session
      session.end(new ConnectionLost({ error: new VchanError({ domid: vchan.peer, path: vchan.path, reason: new Closed() }) }))
    })
  })

  /** The client has all its answers. */
  private leave(): void {
    if (!this.draining) return this.session.violation("a client takes leave of a server that stays")
    this.clientLeft = true
    this.part()
  }

  private part(): void {
    if (this.clientLeft && this.calls.size === 0) Deferred.doneUnsafe(this.parted, Effect.void)
  }

  private interrupted(index: number, id: number): void {
    const abandoned = this.session.abandon(id)
    const call = this.calls.get(id)
    if (call !== undefined) return call.abandon()
    // The call may have come in part only, or its reply may not have gone in whole.
    if (abandoned === FrameType.Request || this.session.out.cancel(id) !== undefined) this.answers.refuse(index, id, new Interrupted())
  }

  private hello(body: Uint8Array): void {
    const { limits, methods, service } = this.options
    const hello = greetingOf(body, service, ["was asked for", "is served here"])
    if (Result.isFailure(hello)) return this.session.refuse(hello.failure)
    const theirs = hello.success
    this.table = targetsOf(methods, theirs, { domid: this.session.vchan.peer })
    this.peer = theirs.limits
    this.answers.limit = Math.min(theirs.limits.maxMessage, limits.memory)
    this.session.out.send(FrameType.Hello, 0, 0, encodeHello({ service, limits, methods: entriesFor(methods.values(), theirs) }))
    this.session.greet(limits, theirs.limits)
    Deferred.doneUnsafe(this.greeted, Effect.void)
  }

  private enveloped(peer: Limits, index: number, id: number, body: Uint8Array): void {
    const decoded = decodeEnvelope(body)
    if (Result.isFailure(decoded)) return this.session.violation(decoded.failure)
    const { envelope, headersLength, payload } = decoded.success
    const method = this.table[index]?.method
    if (envelope.discard === true && (method?.isStream === true || method?.upload !== undefined)) {
      return this.session.violation("a stream that nobody wants")
    }
    this.request(peer, index, id, payload, envelope, headersLength)
  }

  private request(peer: Limits, index: number, id: number, body: Uint8Array, envelope: Envelope, headersLength = 0): void {
    if (this.calls.get(id) !== undefined) return this.session.violation(`the id ${id} was used for a second call while the first runs`)
    if (index >= this.table.length) return this.session.violation(`a call of method ${index}, and the Hello had ${this.table.length}`)
    const refusal = this.draining ? new Draining() : this.bucket?.take()
    if (refusal !== undefined) return this.answers.refuse(index, id, refusal)
    const { maxCalls, maxHeaders } = this.options.limits
    if (headersLength > maxHeaders) return this.answers.refuse(index, id, new HeadersTooLarge({ limit: maxHeaders }))
    const target = this.table[index]
    if (target === undefined) return this.answers.refuse(index, id, new UnknownMethod())
    if (this.calls.size >= maxCalls) return this.answers.refuse(index, id, new TooManyCalls({ limit: maxCalls }))
    const { budget } = this
    const { codecs, method } = target
    const length = body.length + (codecs.upload === undefined ? 0 : uploadCharge(this.options.limits))
    if (length > budget.limit - budget.used) {
      return this.answers.refuse(index, id, new TooManyBytes({ what: "payload", length, limit: budget.limit }))
    }
    const payload = codecs.payload.decode(body, this.options.limits.maxMessage)
    if (Result.isFailure(payload)) return this.answers.refuse(index, id, new BadPayload({ detail: payload.failure }))
    const { answers, client } = this
    const { out } = this.session
    const stream = method.isStream
      ? new StreamSender({ out, codec: codecs.success, window: peer.window, limit: answers.limit, index, id })
      : undefined
    const timeout = Math.min(envelope.timeout ?? Infinity, this.options.maxTime)
    const upload = codecs.upload === undefined ? undefined : this.openUpload(codecs.upload, index, id)
    const value = upload === undefined || method.upload === undefined ? payload : method.upload.join(payload.success, upload.stream)
    if (Result.isFailure(value)) return this.answers.refuse(index, id, new BadPayload({ detail: value.failure }))
    const call = new ServerCall({ id, index, target, charge: length, stream, upload, timeout })
    this.calls.add(call)
    const { effect, uninterruptible } = method.run(value.success, {
      client,
      id,
      headers: envelope.headers === undefined ? Headers.empty : Headers.fromInput(envelope.headers),
      onStart: envelope.discard === true ? () => this.detach(call) : undefined,
      emit: stream?.emit ?? emitNothing
    })
    const span = isTraced(call.context) ? withServerSpan(effect, this.session, method.name, envelope.trace) : effect
    call.run(span, uninterruptible, (exit) => this.reply(call, exit))
  }

  /** The caller is told that the handler has started, and hears no more of it. */
  private detach(call: ServerCall): void {
    if (this.calls.detach(call)) this.session.out.sendEmpty(FrameType.End, call.index, call.id)
  }

  private reply(call: ServerCall, exit: Exit.Exit<unknown, unknown>): void {
    // An item may have come in part, and nobody waits for the rest.
    if (call.upload !== undefined) this.session.abandon(call.id)
    if (this.calls.remove(call) && this.session.ended === undefined) this.answers.exit(call, exit)
    // Nobody is left to hear of a defect but the log.
    else if (exit._tag === "Failure" && Cause.hasDies(exit.cause)) this.answers.log(call, exit.cause)
    // Last: `close` goes on at once, and ends the session.
    this.calls.settle()
    this.part()
  }

  private openUpload(codecs: UploadCodecs, index: number, id: number): ServerUpload {
    const { out } = this.session
    return new ServerUpload({
      codecs,
      window: this.options.limits.window,
      credit: (cost) => {
        if (out.isFull()) return false
        out.sendNumber(FrameType.Credit, index, id, cost)
        return true
      },
      onLeft: () => {
        this.session.abandon(id)
        out.sendEmpty(FrameType.Interrupt, index, id)
      }
    })
  }

  private uploaded(type: number, id: number, body: Uint8Array): void {
    const call = this.calls.get(id)
    // It may have ended while this was on its way.
    if (call === undefined) return
    const { upload } = call
    if (upload === undefined) return this.session.violation("items for a call that takes none")
    const wrong = type === FrameType.Chunk ? upload.chunk(body) : upload.end(type === FrameType.Failure ? body : undefined)
    if (typeof wrong === "string") return this.session.violation(wrong)
    if (wrong === undefined) return
    call.interrupt(wrong)
    upload.close()
  }

  private credit(id: number, body: Uint8Array): void {
    const count = creditOf(body)
    if (count === undefined) return this.session.violation("a credit is not 4 bytes long")
    const call = this.calls.get(id)
    // The stream may have ended while the credit was on its way.
    if (call === undefined) return
    if (call.stream?.credit(count) !== true) this.session.violation(`a credit of ${count} for more than was sent`)
  }
}
