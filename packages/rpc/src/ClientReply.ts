/**
 * What a frame that ends a call means to its caller. Pure, and total over the server's bytes.
 */
import { Exit, Result, Schema } from "effect"
import type { Method, MethodCodecs } from "./Contract.ts"
import { FrameType } from "./Frame.ts"
import { shortened } from "./printable.ts"
import { BadReply, CallRefusal, type VchanRpcError, type VchanRpcReason } from "./RpcError.ts"

const decodeRefusal = Schema.decodeUnknownResult(Schema.fromJsonString(CallRefusal))

/** The exit that the frame tells. `maxMessage` is this side's; `error` makes an error of this call. */
export const exitOf = (
  method: Method,
  codecs: MethodCodecs,
  frame: { readonly type: number; readonly body: Uint8Array },
  maxMessage: number,
  error: (reason: VchanRpcReason) => VchanRpcError
): Exit.Exit<unknown, unknown> => {
  const { body, type } = frame
  const bad = (detail: string) => Exit.fail(error(new BadReply({ detail })))
  switch (type) {
    case FrameType.Success: {
      const value = codecs.success.decode(body, maxMessage)
      return Result.isSuccess(value) ? Exit.succeed(value.success) : bad(value.failure)
    }
    case FrameType.End:
      return Exit.void
    case FrameType.Refusal: {
      const reason = decodeRefusal(new TextDecoder().decode(body))
      return Result.isSuccess(reason) ? Exit.fail(error(reason.success)) : bad(shortened(reason.failure.message))
    }
    case FrameType.Defect: {
      const defect = method.defect.decode(body, maxMessage)
      return Exit.die(Result.isSuccess(defect) ? defect.success : new Error(`the handler of ${method.name} died`))
    }
    default: {
      const failure = codecs.failure.decode(body, maxMessage)
      return Result.isSuccess(failure) ? Exit.fail(failure.success) : bad(failure.failure)
    }
  }
}
