/**
 * How a method is described to a peer: the shapes of what it takes and gives. Plain data, told in a Hello where the sides' versions differ, and
 * to a client that asks for all.
 */
import { Result, Schema } from "effect"
import { mismatchOf } from "./Compatibility.ts"
import { isAmbiguous, readShape, type Shape } from "./Shape.ts"

/** A method's shapes. */
export interface MethodShapes {
  readonly stream: boolean
  readonly payload: Shape
  /** The value of a unary call; one item of a stream. */
  readonly success: Shape
  /** The typed errors. */
  readonly error: Shape
  /** The stream in its payload, if it has one; `payload` is the rest then. */
  readonly upload?: { readonly item: Shape; readonly error: Shape } | undefined
}

const Described = Schema.Struct({
  stream: Schema.Boolean,
  payload: Schema.Unknown,
  success: Schema.Unknown,
  error: Schema.Unknown,
  upload: Schema.optionalKey(Schema.Struct({ item: Schema.Unknown, error: Schema.Unknown }))
})
const decodeDescribed = Schema.decodeUnknownResult(Described)

/** Reads what a peer tells of a method, whatever it is. */
export const readMethodShapes = (json: unknown): Result.Result<MethodShapes, string> => {
  const described = decodeDescribed(json)
  if (Result.isFailure(described)) return Result.fail(described.failure.message)
  const { error, payload, stream, success, upload } = described.success
  return Result.gen(function*() {
    const shapes = { stream, payload: yield* readShape(payload), success: yield* readShape(success), error: yield* readShape(error) }
    return upload === undefined
      ? shapes
      : { ...shapes, upload: { item: yield* readShape(upload.item), error: yield* readShape(upload.error) } }
  })
}

/** What a method takes or gives that could be read from JSON in too many ways: see `isAmbiguous`. Undefined where nothing is so. */
export const ambiguityOf = ({ error, payload, success, upload }: MethodShapes): string | undefined => {
  const parts: ReadonlyArray<readonly [name: string, shape: Shape]> = [
    ["payload", payload],
    ["success", success],
    ["error", error],
    ...upload === undefined ? [] : [["stream", upload.item], ["stream error", upload.error]] as const
  ]
  return parts.find(([, shape]) => isAmbiguous(shape))?.[0]
}

/** Where two versions of a method do not fit, and what each side has there, in words. */
export interface Incompatibility {
  readonly path: string
  readonly client: string
  readonly server: string
}

/** What the client writes the server must read, and the other way round. */
export const incompatibilityOf = (client: MethodShapes, server: MethodShapes): Incompatibility | undefined => {
  if (client.stream !== server.stream) {
    const word = (stream: boolean) => (stream ? "a stream" : "one value")
    return { path: "success", client: word(client.stream), server: word(server.stream) }
  }
  const uploads = uploadMismatch(client.upload, server.upload)
  if (uploads !== undefined) return uploads
  const asked = mismatchOf("payload", client.payload, server.payload)
  if (asked !== undefined) return { path: asked.path, client: asked.written, server: asked.read }
  const answered = mismatchOf("success", server.success, client.success) ?? mismatchOf("error", orNone(server.error), orNone(client.error))
  return answered === undefined ? undefined : { path: answered.path, client: answered.read, server: answered.written }
}

const uploadMismatch = (client: MethodShapes["upload"], server: MethodShapes["upload"]): Incompatibility | undefined => {
  if (client === undefined || server === undefined) {
    const word = (upload: MethodShapes["upload"]) => (upload === undefined ? "no stream" : "a stream")
    return client === server ? undefined : { path: "payload", client: word(client), server: word(server) }
  }
  const found = mismatchOf("stream", client.item, server.item) ?? mismatchOf("stream error", orNone(client.error), orNone(server.error))
  return found && { path: found.path, client: found.written, server: found.read }
}

/** A call may end without an error, so errors that only one side knows leave something to call for. */
const orNone = (error: Shape): Shape => ({ union: [error, "null"] })
