/**
 * What a frame that ends a call means to its caller. Pure, and total over the server's bytes.
 */
import { shortened } from "@vchan/xen"
import { Exit, Result, Schema } from "effect"
import type { Method, MethodCodecs } from "./Contract.ts"
import { FrameType } from "./Frame.ts"
import { BadReply, CallRefusal, type VchanRpcError, type VchanRpcReason } from "./RpcError.ts"

const decodeRefusal = Schema.decodeUnknownResult(Schema.fromJsonString(CallRefusal))

/** Makes an error of a connection's call. */
interface Errors {
  readonly error: (reason: VchanRpcReason, method: string) => VchanRpcError
}

/** The exit that a frame of that type tells. `maxMessage` is this side's. */
export const exitOf = (
  method: Method,
  codecs: MethodCodecs,
  type: number,
  body: Uint8Array,
  maxMessage: number,
  errors: Errors
): Exit.Exit<unknown, unknown> => {
  switch (type) {
    case FrameType.Success: {
      const value = codecs.success.decode(body, maxMessage)
      return Result.isSuccess(value) ? Exit.succeed(value.success) : bad(method, value.failure, errors)
    }
    case FrameType.End:
      return Exit.void
    case FrameType.Refusal: {
      const reason = decodeRefusal(new TextDecoder().decode(body))
      if (Result.isFailure(reason)) return bad(method, shortened(reason.failure.message), errors)
      return Exit.fail(errors.error(reason.success, method.name))
    }
    case FrameType.Defect: {
      const defect = method.defect.decode(body, maxMessage)
      return Exit.die(Result.isSuccess(defect) ? defect.success : new Error(`the handler of ${method.name} died`))
    }
    default: {
      const failure = codecs.failure.decode(body, maxMessage)
      return Result.isSuccess(failure) ? Exit.fail(failure.success) : bad(method, failure.failure, errors)
    }
  }
}

const bad = ({ name }: Method, detail: string, errors: Errors): Exit.Exit<never, VchanRpcError> =>
  Exit.fail(errors.error(new BadReply({ detail }), name))
