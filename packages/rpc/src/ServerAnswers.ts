/**
 * What a server's engine sends at the end of a call: its value, its typed error, what may be told of a defect, or a refusal. Belongs to its
 * engine; holds nothing of a call.
 */
import { Cause, Effect, type Exit, Result, Schema } from "effect"
import { FrameType } from "./Frame.ts"
import { longLength } from "./Outgoing.ts"
import { CallRefusal, Interrupted, MessageTooLarge, TooManyBytes } from "./RpcError.ts"
import type { Target } from "./ServerTarget.ts"
import type { Session } from "./Session.ts"

/** The call that is answered. */
export interface Answered {
  readonly id: number
  /** The method's index in the client's Hello. */
  readonly index: number
  readonly target: Target
  /** Why the engine interrupted the handler, if it was for a reason to tell. */
  readonly interruption: CallRefusal | undefined
}

const encodeRefusal = Schema.encodeSync(Schema.fromJsonString(CallRefusal))
const refusalBody = (reason: CallRefusal): Uint8Array => new TextEncoder().encode(encodeRefusal(reason))
const interruptedBody = refusalBody(new Interrupted())
const noBody = new Uint8Array(0)

export class ServerAnswers {
  /** The most bytes of a message that the client takes and this side can keep. */
  limit = 0
  private readonly session: Session

  constructor(session: Session) {
    this.session = session
  }

  /** Tells how the handler ended. */
  exit(call: Answered, exit: Exit.Exit<unknown, unknown>): void {
    const { codecs, method } = call.target
    if (exit._tag === "Failure") return this.cause(call, exit.cause)
    if (method.isStream) return this.session.out.sendEmpty(FrameType.End, call.index, call.id)
    const body = codecs.success.encode(exit.value)
    if (Result.isFailure(body)) return this.cause(call, Cause.die(new Error(`the reply cannot be encoded: ${body.failure}`)))
    this.whole(call, FrameType.Success, body.success)
  }

  /** Answers in the handler's place. */
  refuse(index: number, id: number, reason: CallRefusal): void {
    this.session.out.send(FrameType.Refusal, index, id, refusalBody(reason))
  }

  /** Tells the log of a handler's defect. */
  log({ target }: Answered, cause: Cause.Cause<unknown>): void {
    const { service, vchan } = this.session
    const message = `the handler of ${service}.${target.method.name} died in a call of domain ${vchan.peer}`
    Effect.runForkWith(target.context)(Effect.logError(message, cause))
  }

  private cause(call: Answered, cause: Cause.Cause<unknown>): void {
    const { codecs, method } = call.target
    const failure = cause.reasons.find(Cause.isFailReason)
    if (failure !== undefined) {
      const body = codecs.failure.encode(failure.error)
      if (Result.isSuccess(body)) return this.whole(call, FrameType.Failure, body.success)
      return this.cause(call, Cause.die(new Error(`the failure cannot be encoded: ${body.failure}`, { cause: failure.error })))
    }
    const death = cause.reasons.find(Cause.isDieReason)
    if (death === undefined) {
      if (call.interruption !== undefined) return this.refuse(call.index, call.id, call.interruption)
      return this.session.out.send(FrameType.Refusal, call.index, call.id, interruptedBody)
    }
    if (death.defect instanceof MessageTooLarge) return this.refuse(call.index, call.id, death.defect)
    this.log(call, cause)
    const body = method.defect.encode(death.defect)
    const told = Result.isSuccess(body) && body.success.length <= this.limit && this.hasRoom(body.success.length) ? body.success : noBody
    this.session.out.send(FrameType.Defect, call.index, call.id, told)
  }

  /** Whether an answer of that length may be kept until it is sent. */
  private hasRoom(length: number): boolean {
    return length <= longLength || this.session.out.hasRoom(length)
  }

  private whole(call: Answered, type: number, body: Uint8Array): void {
    const { limit } = this
    const { length } = body
    if (length > limit) return this.refuse(call.index, call.id, new MessageTooLarge({ what: "reply", length, limit }))
    const { out } = this.session
    if (!this.hasRoom(length)) {
      return this.refuse(call.index, call.id, new TooManyBytes({ what: "reply", length, limit: out.memory }))
    }
    out.send(type, call.index, call.id, body)
  }
}
