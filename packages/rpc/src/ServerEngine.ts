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
import { Cause, Context, Deferred, Effect, type Exit, type Fiber, Result, Schema, Scope } from "effect"
import { Caller } from "./Caller.ts"
import type { CallFacts, MethodCodecs, ServedMethod } from "./Contract.ts"
import { countedHeaderLength, FrameType } from "./Frame.ts"
import { decodeHello, encodeHello } from "./Hello.ts"
import type { Keepalive } from "./Keepalive.ts"
import type { Limits } from "./Limits.ts"
import {
  BadPayload,
  CallRefusal,
  ConnectionLost,
  FrameTooLarge,
  HandshakeRefused,
  HandshakeTimeout,
  Interrupted,
  TooManyCalls,
  UnknownMethod,
  type VchanRpcError
} from "./RpcError.ts"
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
}

/** A method as one client calls it. */
interface Target {
  readonly method: ServedMethod
  readonly codecs: MethodCodecs
  readonly context: Context.Context<never>
}

/** A call in flight. */
interface Call {
  readonly id: number
  /** The method's index in the client's Hello. */
  readonly index: number
  readonly target: Target
  readonly scope: Scope.Closeable
  readonly stream: ServerStream | undefined
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  interrupted: boolean
}

const encodeRefusal = Schema.encodeSync(Schema.fromJsonString(CallRefusal))
const refusalBody = (reason: CallRefusal): Uint8Array => new TextEncoder().encode(encodeRefusal(reason))
const interruptedBody = refusalBody(new Interrupted())
const noBody = new Uint8Array(0)
const emitNothing = () => Effect.void

class ServerEngine implements SessionHandler {
  readonly greeted = Deferred.makeUnsafe<void>()
  readonly ended = Deferred.makeUnsafe<VchanRpcError>()
  readonly session: Session
  private readonly idle = Deferred.makeUnsafe<void>()
  private readonly options: ServerOptions
  private readonly client: CallFacts["client"]
  private readonly calls = new Map<number, Call>()
  private table: ReadonlyArray<Target | undefined> = []
  private peer: Limits | undefined = undefined
  private closing = false

  constructor(vchan: Vchan, options: ServerOptions, client: CallFacts["client"]) {
    this.options = options
    this.client = client
    this.session = new Session({ ...options, vchan })
  }

  onFrame(type: number, method: number, id: number, body: Uint8Array): void {
    if (this.peer === undefined) {
      if (type === FrameType.Hello) this.hello(body)
      else this.session.refuse(new HandshakeRefused({ detail: "the first frame sent was no Hello" }))
      return
    }
    switch (type) {
      case FrameType.Request:
        return this.request(this.peer, method, id, body)
      case FrameType.Interrupt: {
        const call = this.calls.get(id)
        if (call !== undefined) this.interrupt(call)
        return
      }
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
        this.session.flush()
        this.session.end(new ConnectionLost({ error: new VchanError({ domid: vchan.peer, path: vchan.path, reason: new Closed() }) }))
      })
    )
  })

  private stop(): void {
    this.closing = true
    for (const call of [...this.calls.values()]) this.interrupt(call)
    if (this.calls.size === 0) Deferred.doneUnsafe(this.idle, Effect.void)
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
    const entries = Array.from(methods.values(), ({ fingerprint, name }) => ({ name, fingerprint }))
    this.session.send(FrameType.Hello, 0, 0, encodeHello({ service, limits, methods: entries }))
    this.session.greet(limits.maxFrame + countedHeaderLength)
    Deferred.doneUnsafe(this.greeted, Effect.void)
  }

  private request(peer: Limits, index: number, id: number, body: Uint8Array): void {
    if (this.calls.has(id)) return this.session.violation(`the id ${id} was used for a second call while the first runs`)
    if (index >= this.table.length) return this.session.violation(`a call of method ${index}, and the Hello had ${this.table.length}`)
    const target = this.table[index]
    if (target === undefined) return this.refuse(index, id, new UnknownMethod())
    const limit = this.options.limits.maxCalls
    if (this.calls.size >= limit) return this.refuse(index, id, new TooManyCalls({ limit }))
    if (this.closing) return this.refuse(index, id, new Interrupted())
    const payload = target.codecs.payload.decode(body)
    if (Result.isFailure(payload)) return this.refuse(index, id, new BadPayload({ detail: payload.failure }))
    const { codecs, method } = target
    const { client, session } = this
    const stream = method.isStream ? new ServerStream({ session, codec: codecs.success, peer, index, id }) : undefined
    const call: Call = { id, index, target, stream, scope: Scope.makeUnsafe(), fiber: undefined, interrupted: false }
    this.calls.set(id, call)
    const { effect, uninterruptible } = method.run(payload.success, { client, id, emit: stream?.emit ?? emitNothing })
    this.fork(call, effect, uninterruptible, (exit) => this.finish(call, exit))
  }

  private fork(
    call: Call,
    effect: Effect.Effect<unknown, unknown, Scope.Scope>,
    uninterruptible: boolean,
    done: (exit: Exit.Exit<unknown, unknown>) => void
  ): void {
    const run = Effect.runForkWith(Context.add(call.target.context, Scope.Scope, call.scope))
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
    this.calls.delete(call.id)
    if (this.session.ended === undefined) this.answer(call, exit)
    // Nobody is left to hear of a defect but the log.
    else if (exit._tag === "Failure" && Cause.hasDies(exit.cause)) this.log(call, exit.cause)
    // Last: `close` goes on at once, and ends the session.
    if (this.closing && this.calls.size === 0) Deferred.doneUnsafe(this.idle, Effect.void)
  }

  private answer(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    const { codecs, method } = call.target
    if (exit._tag === "Failure") return this.answerCause(call, exit.cause)
    if (method.isStream) return this.session.sendEmpty(FrameType.End, call.index, call.id)
    const body = codecs.success.encode(exit.value)
    if (Result.isFailure(body)) return this.answerCause(call, Cause.die(new Error(`the reply cannot be encoded: ${body.failure}`)))
    this.sendWhole(call, FrameType.Success, body.success)
  }

  private answerCause(call: Call, cause: Cause.Cause<unknown>): void {
    const { codecs, method } = call.target
    const failure = cause.reasons.find(Cause.isFailReason)
    if (failure !== undefined) {
      const body = codecs.failure.encode(failure.error)
      if (Result.isSuccess(body)) return this.sendWhole(call, FrameType.Failure, body.success)
      return this.answerCause(call, Cause.die(new Error(`the failure cannot be encoded: ${body.failure}`, { cause: failure.error })))
    }
    const death = cause.reasons.find(Cause.isDieReason)
    if (death === undefined) return this.session.send(FrameType.Refusal, call.index, call.id, interruptedBody)
    if (death.defect instanceof FrameTooLarge) return this.refuse(call.index, call.id, death.defect)
    this.log(call, cause)
    const body = method.defect.encode(death.defect)
    const told = Result.isSuccess(body) && body.success.length <= this.peerFrame ? body.success : noBody
    this.session.send(FrameType.Defect, call.index, call.id, told)
  }

  private log(call: Call, cause: Cause.Cause<unknown>): void {
    const { context, method } = call.target
    const { service, vchan } = this.session
    Effect.runForkWith(context)(Effect.logError(`the handler of ${service}.${method.name} died in a call of domain ${vchan.peer}`, cause))
  }

  private get peerFrame(): number {
    return this.peer?.maxFrame ?? 0
  }

  private sendWhole(call: Call, type: number, body: Uint8Array): void {
    const limit = this.peerFrame
    if (body.length <= limit) return this.session.send(type, call.index, call.id, body)
    this.refuse(call.index, call.id, new FrameTooLarge({ what: "reply", length: body.length, limit }))
  }

  private refuse(index: number, id: number, reason: CallRefusal): void {
    this.session.send(FrameType.Refusal, index, id, refusalBody(reason))
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
