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
import { Cause, Context, Deferred, Effect, type Exit, type Fiber, Result, Scope } from "effect"
import type { Budget } from "./Assembly.ts"
import { Caller } from "./Caller.ts"
import type { CallFacts, ServedMethod } from "./Contract.ts"
import { Current as CurrentDeadline } from "./Deadline.ts"
import { decodeEnvelope, type Envelope } from "./Envelope.ts"
import { Flag, FrameType } from "./Frame.ts"
import { decodeHello, encodeHello } from "./Hello.ts"
import { type Keepalive, longestTimer } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import {
  BadPayload,
  ConnectionLost,
  DeadlineExceeded,
  HandshakeRefused,
  HandshakeTimeout,
  Interrupted,
  TooManyBytes,
  TooManyCalls,
  UnknownMethod,
  type VchanRpcError
} from "./RpcError.ts"
import { type Answered, ServerAnswers, type Target } from "./ServerAnswers.ts"
import { ServerStream } from "./ServerStream.ts"
import { Session, type SessionHandler } from "./Session.ts"

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
}

/** A call in flight. */
interface Call extends Answered {
  readonly scope: Scope.Closeable
  /** The bytes of its payload. */
  readonly charge: number
  readonly stream: ServerStream | undefined
  readonly context: Context.Context<never>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  interrupted: boolean
  interruption: DeadlineExceeded | undefined
  /** Ends the call at its deadline, if it has one. */
  timer: NodeJS.Timeout | undefined
}

const noEnvelope: Envelope = {}
const emitNothing = () => Effect.void

class ServerEngine implements SessionHandler {
  readonly greeted = Deferred.makeUnsafe<void>()
  readonly ended = Deferred.makeUnsafe<VchanRpcError>()
  readonly session: Session
  private readonly idle = Deferred.makeUnsafe<void>()
  private readonly options: ServerOptions
  private readonly client: CallFacts["client"]
  private readonly answers: ServerAnswers
  /** What requests take, from their first segment to the end of their call. */
  private readonly budget: Budget
  private readonly calls = new Map<number, Call>()
  private table: ReadonlyArray<Target | undefined> = []
  private peer: Limits | undefined = undefined
  private closing = false

  constructor(vchan: Vchan, options: ServerOptions, client: CallFacts["client"]) {
    this.options = options
    this.client = client
    this.budget = { limit: options.limits.memory, used: 0 }
    this.session = new Session({ ...options, vchan, budget: this.budget, memory: options.limits.memory, mayStall: true })
    this.answers = new ServerAnswers(this.session)
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
      case FrameType.Interrupt:
        return this.interrupted(method, id)
      case FrameType.Credit:
        return this.credit(id, body)
      default:
        return this.session.violation(`a client sent a frame of type ${type}`)
    }
  }

  onRoom(): void {
    for (const call of this.calls.values()) call.stream?.resume()
  }

  onEnded(error: VchanRpcError): void {
    this.stop()
    Deferred.doneUnsafe(this.ended, Effect.succeed(error))
  }

  /** Interrupts every handler and waits for the last. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.stop()
    return Effect.andThen(
      Deferred.await(this.idle),
      Effect.sync(() => {
        const { vchan } = this.session
        this.session.out.flush()
        this.session.end(new ConnectionLost({ error: new VchanError({ domid: vchan.peer, path: vchan.path, reason: new Closed() }) }))
      })
    )
  })

  private stop(): void {
    this.closing = true
    for (const call of [...this.calls.values()]) this.interrupt(call)
    if (this.calls.size === 0) Deferred.doneUnsafe(this.idle, Effect.void)
  }

  private interrupted(index: number, id: number): void {
    const abandoned = this.session.abandon(id)
    const call = this.calls.get(id)
    if (call !== undefined) return this.interrupt(call)
    // The call may have come in part only, or its reply may not have gone in whole.
    if (abandoned === FrameType.Request || this.session.out.cancel(id) !== undefined) this.answers.refuse(index, id, new Interrupted())
  }

  private interrupt(call: Call): void {
    if (call.interrupted) return
    call.interrupted = true
    call.fiber?.interruptUnsafe()
  }

  private hello(body: Uint8Array): void {
    const { limits, methods, service } = this.options
    const hello = decodeHello(body)
    if (Result.isFailure(hello)) return this.session.refuse(new HandshakeRefused({ detail: hello.failure }))
    const theirs = hello.success
    if (theirs.service !== service) {
      const detail = `${JSON.stringify(theirs.service.slice(0, 100))} was asked for, and ${JSON.stringify(service)} is served here`
      return this.session.refuse(new HandshakeRefused({ detail }))
    }
    const caller = Context.make(Caller, { domid: this.session.vchan.peer })
    const contexts = new Map(Array.from(methods.values(), (method) => [method, Context.merge(method.context, caller)]))
    this.table = theirs.methods.map(({ fingerprint, name }) => {
      const method = methods.get(name)
      const context = method && contexts.get(method)
      if (method === undefined || context === undefined) return undefined
      return { method, context, codecs: method.fingerprint === fingerprint ? method.binary : method.json }
    })
    this.peer = theirs.limits
    this.answers.limit = Math.min(theirs.limits.maxMessage, limits.memory)
    const entries = Array.from(methods.values(), ({ fingerprint, name }) => ({ name, fingerprint }))
    this.session.out.send(FrameType.Hello, 0, 0, encodeHello({ service, limits, methods: entries }))
    this.session.greet(limits, theirs.limits)
    Deferred.doneUnsafe(this.greeted, Effect.void)
  }

  private enveloped(peer: Limits, index: number, id: number, body: Uint8Array): void {
    const decoded = decodeEnvelope(body)
    if (Result.isFailure(decoded)) return this.session.violation(decoded.failure)
    this.request(peer, index, id, decoded.success.payload, decoded.success.envelope)
  }

  private request(peer: Limits, index: number, id: number, body: Uint8Array, envelope: Envelope): void {
    if (this.calls.has(id)) return this.session.violation(`the id ${id} was used for a second call while the first runs`)
    if (index >= this.table.length) return this.session.violation(`a call of method ${index}, and the Hello had ${this.table.length}`)
    const target = this.table[index]
    if (target === undefined) return this.answers.refuse(index, id, new UnknownMethod())
    const limit = this.options.limits.maxCalls
    if (this.calls.size >= limit) return this.answers.refuse(index, id, new TooManyCalls({ limit }))
    if (this.closing) return this.answers.refuse(index, id, new Interrupted())
    const { budget } = this
    const { length } = body
    if (length > budget.limit - budget.used) {
      return this.answers.refuse(index, id, new TooManyBytes({ what: "payload", length, limit: budget.limit }))
    }
    const payload = target.codecs.payload.decode(body)
    if (Result.isFailure(payload)) return this.answers.refuse(index, id, new BadPayload({ detail: payload.failure }))
    const { codecs, method } = target
    const { answers, client } = this
    const { out } = this.session
    const stream = method.isStream
      ? new ServerStream({ out, codec: codecs.success, window: peer.window, limit: answers.limit, index, id })
      : undefined
    const timeout = Math.min(envelope.timeout ?? Infinity, this.options.maxTime)
    const isLimited = timeout <= longestTimer
    const call: Call = {
      id,
      index,
      target,
      stream,
      scope: Scope.makeUnsafe(),
      charge: length,
      context: isLimited ? Context.add(target.context, CurrentDeadline, performance.now() + timeout) : target.context,
      fiber: undefined,
      interrupted: false,
      interruption: undefined,
      timer: isLimited ? setTimeout(() => this.expire(call, timeout), timeout) : undefined
    }
    this.calls.set(id, call)
    budget.used += length
    const { effect, uninterruptible } = method.run(payload.success, { client, id, emit: stream?.emit ?? emitNothing })
    this.fork(call, effect, uninterruptible, (exit) => this.finish(call, exit))
  }

  private expire(call: Call, allowedMillis: number): void {
    if (call.interrupted) return
    call.interruption = new DeadlineExceeded({ allowedMillis })
    this.interrupt(call)
  }

  private fork(
    call: Call,
    effect: Effect.Effect<unknown, unknown, Scope.Scope>,
    uninterruptible: boolean,
    done: (exit: Exit.Exit<unknown, unknown>) => void
  ): void {
    const run = Effect.runForkWith(Context.add(call.context, Scope.Scope, call.scope))
    const fiber = run(effect, { uninterruptible })
    call.fiber = fiber
    // The connection may have ended while the handler took its first steps.
    if (call.interrupted) fiber.interruptUnsafe()
    fiber.addObserver(done)
  }

  private finish(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    if (exit._tag === "Success" && Deferred.isDeferred(exit.value)) {
      return this.fork(call, Deferred.await(exit.value), false, (late) => this.finish(call, late))
    }
    const closing = Scope.closeUnsafe(call.scope, exit)
    if (closing === undefined) return this.reply(call, exit)
    this.fork(call, closing, true, () => this.reply(call, exit))
  }

  private reply(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    clearTimeout(call.timer)
    this.calls.delete(call.id)
    this.budget.used -= call.charge
    if (this.session.ended === undefined) this.answers.exit(call, exit)
    // Nobody is left to hear of a defect but the log.
    else if (exit._tag === "Failure" && Cause.hasDies(exit.cause)) this.answers.log(call, exit.cause)
    // Last: `close` goes on at once, and ends the session.
    if (this.closing && this.calls.size === 0) Deferred.doneUnsafe(this.idle, Effect.void)
  }

  private credit(id: number, body: Uint8Array): void {
    if (body.length !== 4) return this.session.violation("a credit is not 4 bytes long")
    const count = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
    const call = this.calls.get(id)
    // The stream may have ended while the credit was on its way.
    if (call === undefined) return
    if (call.stream?.credit(count) !== true) this.session.violation(`a credit of ${count} for more than was sent`)
  }
}

/** Serves one client over an open vchan, until it ends. */
export const serveVchan = (vchan: Vchan, options: ServerOptions, client: CallFacts["client"]): Effect.Effect<VchanRpcError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const engine = new ServerEngine(vchan, options, client)
      engine.session.open(engine)
      return engine
    }),
    (engine) => {
      const waitedMillis = options.helloTimeout
      const silence = Effect.sync(() => engine.session.refuse(new HandshakeTimeout({ waitedMillis })))
      return Deferred.await(engine.greeted).pipe(
        Effect.timeoutOrElse({ duration: waitedMillis, orElse: () => silence }),
        Effect.raceFirst(Deferred.await(engine.ended)),
        Effect.andThen(Deferred.await(engine.ended))
      )
    },
    (engine) => engine.close
  )
