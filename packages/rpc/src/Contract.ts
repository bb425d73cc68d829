/**
 * The one place that looks into Effect's `Rpc` definitions, which Effect calls unstable: it makes plain tables of methods and handlers of
 * them for both engines. Owns nothing.
 */
import { Context, Duration, Effect, Function, type Queue, Schema, type SchemaAST, type Scope, Stream } from "effect"
import type { Cause } from "effect"
import type { Headers } from "effect/http"
import { Rpc, type RpcClient, type RpcGroup, RpcMessage, type RpcMiddleware, RpcSchema } from "effect/rpc"
import { halvesOf, withHalves } from "./ClientMiddleware.ts"
import { binary, type Codec, fingerprintOf, json } from "./Codec.ts"
import { Timeout } from "./Deadline.ts"
import { Idempotent } from "./Idempotent.ts"
import { ambiguityOf, type MethodShapes } from "./MethodShapes.ts"
import type { PlainSchema } from "./Plan.ts"
import { shapeOf } from "./planOf.ts"
import { type Upload, uploadOf } from "./Upload.ts"

/** The codecs of the stream in a method's payload. */
export interface UploadCodecs {
  /** An array of items. */
  readonly items: Codec
  readonly failure: Codec
}

/** A method's codecs, all binary or all JSON. */
export interface MethodCodecs {
  /** Of a payload with a stream: the rest of it. */
  readonly payload: Codec
  /** The value of a unary call; an array of items of a stream. */
  readonly success: Codec
  /** The typed errors: the method's own, its stream's and its middlewares'. */
  readonly failure: Codec
  /** Of the stream in its payload, if it has one. */
  readonly upload: UploadCodecs | undefined
}

/** A method as the engines see it. */
export interface Method {
  readonly name: string
  readonly isStream: boolean
  /** The stream in its payload, if it has one. */
  readonly upload: Upload | undefined
  /** Whether a call may be made again where nobody knows whether its handler ran. */
  readonly isIdempotent: boolean
  /** The milliseconds that a call may take where the caller says nothing shorter; Infinity for no limit. */
  readonly timeout: number
  readonly fingerprint: string
  readonly shapes: MethodShapes
  /** What of it is safe to read in the binary codec alone, if something is: then it is not called where the fingerprints differ. */
  readonly ambiguity: string | undefined
  /** When both sides have the same fingerprint. */
  readonly binary: MethodCodecs
  /** When they have not. */
  readonly json: MethodCodecs
  /** What may be told of a handler that died; JSON always. */
  readonly defect: Codec
  /** Builds the payload as its schema's `make` does. Throws where the value is none. */
  readonly makePayload: (input: unknown) => unknown
}

/** What a handler's run is given beside the payload. */
export interface CallFacts {
  readonly client: Rpc.ServerClient
  readonly id: number
  readonly headers: Headers.Headers
  /** Called when the handler itself starts, after its middlewares. */
  readonly onStart: (() => void) | undefined
  /** Takes a stream's items; done when more may come. */
  readonly emit: (values: ReadonlyArray<unknown>) => Effect.Effect<void>
}

/** A handler's run, with its middlewares around it. It may give a Deferred: the call's value comes late then. */
interface Run {
  readonly effect: Effect.Effect<unknown, unknown, Scope.Scope>
  readonly uninterruptible: boolean
}

/** A method with what serves it. */
export interface ServedMethod extends Method {
  /** The server's services, and over them those that the handler was built with. */
  readonly context: Context.Context<never>
  /** Never throws: a handler that does has died. */
  readonly run: (payload: unknown, facts: CallFacts) => Run
}

/** Allows a group whose schemas need no services. */
export type Plain<Rpcs extends Rpc.Any> = [Rpc.Services<Rpcs>] extends [never] ? unknown : {
  readonly "schemas of a vchan service cannot need services": Rpc.Services<Rpcs>
}

const refuse = (name: string, why: string): never => {
  throw new Error(`the method ${name} cannot be called over a vchan: ${why}`)
}

// `Plain`, in the signatures of all that is public, lets no other schemas in.
const plain = (schema: Schema.Top): PlainSchema => schema as PlainSchema

/** Refuses the method for what `make` throws. */
const orRefuse = <A>(name: string, make: () => A): A => {
  try {
    return make()
  } catch (error) {
    return refuse(name, error instanceof Error ? error.message : String(error))
  }
}

/** Once for each definition, however many clients call it. */
const methodOf = Function.memoize((rpc: Rpc.AnyWithProps): Method => {
  const stream = RpcSchema.isStreamSchema(rpc.successSchema) ? rpc.successSchema : undefined
  const errors = new Set([rpc.errorSchema])
  if (stream !== undefined) errors.add(stream.error)
  for (const middleware of rpc.middlewares) errors.add(middleware.error)
  const options = Context.get(rpc.annotations, Rpc.ParseOptions)
  const upload = orRefuse(rpc._tag, () => uploadOf(rpc.payloadSchema))
  const payload = plain(upload?.rest ?? rpc.payloadSchema)
  const success = stream === undefined ? plain(rpc.successSchema) : Schema.Array(plain(stream.success))
  const failure = Schema.Union(Array.from(errors, plain).filter(({ ast }) => ast._tag !== "Never"))
  const codecs = (make: (schema: PlainSchema, options: SchemaAST.ParseOptions) => Codec): MethodCodecs => ({
    payload: make(payload, options),
    success: make(success, options),
    failure: make(failure, options),
    upload: upload && { items: make(Schema.Array(plain(upload.item)), options), failure: make(plain(upload.error), options) }
  })
  const shape = (schema: Schema.Top) => shapeOf(plain(schema), options)
  return orRefuse(rpc._tag, () => {
    const shapes: MethodShapes = {
      stream: stream !== undefined,
      payload: shape(payload),
      success: shape(stream === undefined ? success : stream.success),
      error: shape(failure),
      ...(upload === undefined ? undefined : { upload: { item: shape(upload.item), error: shape(upload.error) } })
    }
    return {
      name: rpc._tag,
      isStream: stream !== undefined,
      upload: upload && { split: upload.split, join: upload.join },
      isIdempotent: Context.get(rpc.annotations, Idempotent),
      timeout: Duration.toMillis(Context.get(rpc.annotations, Timeout)),
      fingerprint: fingerprintOf(shapes),
      shapes,
      ambiguity: ambiguityOf(shapes),
      binary: codecs(binary),
      json: codecs(json),
      defect: json(plain(rpc.defectSchema), {}),
      makePayload: (input) => rpc.payloadSchema.make(input)
    }
  })
})

const definitions = <Rpcs extends Rpc.Any>(group: RpcGroup.RpcGroup<Rpcs>): ReadonlyArray<Rpc.AnyWithProps> =>
  Array.from(group.requests.values(), (rpc: Rpc.Any) => rpc as Rpc.AnyWithProps)

/** The methods of a group that is called. Throws, naming the method, where one cannot be called over a vchan. */
export const methodsOf = <Rpcs extends Rpc.Any>(group: RpcGroup.RpcGroup<Rpcs>): ReadonlyArray<Method> => definitions(group).map(methodOf)

type HandlerResult = ReturnType<Rpc.Handler<string>["handler"]>

// Inside an engine the error is what the failure codec takes; middlewares are typed for the group's own errors.
type Handling = Effect.Effect<RpcMiddleware.SuccessValue, unknown, Scope.Scope>

const streamOf = (result: HandlerResult): Stream.Stream<unknown, unknown> =>
  Effect.isEffect(result)
    ? Stream.unwrap(Effect.map(result, (queue) => Stream.fromQueue(queue as Queue.Dequeue<unknown, Cause.Done>)))
    : result

const effectOf = (result: HandlerResult): Effect.Effect<unknown, unknown> =>
  Effect.isEffect(result) ? result : Effect.die(new Error("a handler of a unary method gave a stream"))

/** The methods of a group with their handlers and middlewares, which `services` holds. */
export const servedMethodsOf = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  services: Context.Context<Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs>>
): ReadonlyArray<ServedMethod> =>
  definitions(group).map((rpc) => {
    const method = methodOf(rpc)
    const handler: Rpc.Handler<string> | undefined = services.mapUnsafe.get(rpc.key)
    if (handler === undefined) return refuse(rpc._tag, "it has no handler: provide the group's toLayer")
    const middlewares = Array.from(rpc.middlewares, (key) => Context.getUnsafe(services, key))
    return {
      ...method,
      context: Context.merge(services, handler.context),
      run: (payload, { client, emit, headers, id, onStart }) => {
        const options = { client, requestId: RpcMessage.RequestId(id), headers, rpc, payload }
        let uninterruptible = false
        let effect: Handling
        try {
          const answer: object = handler.handler(payload, options)
          uninterruptible = Rpc.isWrapper(answer) && answer.uninterruptible
          const result = Rpc.unwrap(answer) as HandlerResult
          const handled: Effect.Effect<unknown, unknown> = method.isStream
            ? Stream.runForEachArray(streamOf(result), emit)
            : effectOf(result)
          effect = (onStart === undefined ? handled : Effect.andThen(Effect.sync(onStart), handled)) as Handling
        } catch (defect) {
          effect = Effect.die(defect)
        }
        try {
          // Also around what was thrown: who may not call shall not learn of it.
          for (const middleware of middlewares) effect = middleware(effect, options)
        } catch (defect) {
          effect = Effect.die(defect)
        }
        return { effect, uninterruptible }
      }
    }
  })

/** What a client's engine does for a method. */
export interface Calls<E> {
  readonly unary: (method: Method, input: unknown, options: CallOptions) => Effect.Effect<unknown, E>
  readonly stream: (method: Method, input: unknown, options: CallOptions) => Stream.Stream<unknown, E>
}

/** What a caller may say with a call. */
export interface CallOptions {
  readonly headers?: Headers.Input | undefined
  readonly discard?: boolean | undefined
  readonly asQueue?: boolean | undefined
  readonly streamBufferSize?: number | undefined
}

const noOptions: CallOptions = {}

/**
 * Effect's own client object for a group, made of an engine's calls and what `services` hold of the client's halves of middlewares. Throws,
 * naming the method, where one of those is missing.
 */
export const clientOf = <Rpcs extends Rpc.Any, E>(
  group: RpcGroup.RpcGroup<Rpcs>,
  methods: ReadonlyArray<Method>,
  calls: Calls<E>,
  services: Context.Context<Rpc.MiddlewareClient<Rpcs>>
): RpcClient.RpcClient<Rpcs, E> => {
  const rpcs = new Map(definitions(group).map((rpc) => [rpc._tag, rpc]))
  const callsOf = ({ name }: Method): Calls<E> => {
    const rpc = rpcs.get(name)
    const halves = rpc === undefined ? [] : orRefuse(name, () => halvesOf(rpc, services))
    return rpc === undefined || halves.length === 0 ? calls : withHalves(calls, rpc, halves)
  }
  const unary = (method: Method, calls: Calls<E>) => (input: unknown, options: CallOptions = noOptions) =>
    calls.unary(method, input, options)
  const stream = (method: Method, calls: Calls<E>) => (input: unknown, options: CallOptions = noOptions) => {
    const items = calls.stream(method, input, options)
    return options.asQueue === true ? Stream.toQueue(items, { capacity: options.streamBufferSize ?? 16 }) : items
  }
  const client = Object.fromEntries(methods.map((method) => [method.name, (method.isStream ? stream : unary)(method, callsOf(method))]))
  // The types of the group and the table come from the same definitions; no type can follow from one to the other.
  return client as RpcClient.RpcClient<Rpcs, E>
}
