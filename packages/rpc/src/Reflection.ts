/**
 * What a service offers, asked of the server itself: its methods and their shapes, and a group made of them, so that a service can be called
 * without its code. Owns a connection only while it asks.
 */
import { Listener } from "@vchan/vchan"
import type { DomId, EventChannel, GrantTable, XenStore } from "@vchan/xen"
import { Deferred, Duration, Effect, Predicate, Schema } from "effect"
import { Rpc, RpcGroup, RpcSchema } from "effect/rpc"
import { engineOver } from "./clientOver.ts"
import { ambiguityOf, type MethodShapes } from "./MethodShapes.ts"
import type { PlainSchema } from "./Plan.ts"
import { ConnectFailed, VchanRpcError } from "./RpcError.ts"
import { servicePath } from "./ServicePath.ts"
import { schemaOf } from "./Shape.ts"
import { type Upload, uploadOf } from "./Upload.ts"

/** A method that a server has. */
export interface MethodDescription {
  readonly name: string
  /** Absent where the server does not tell, because they are too large, or all of them together. */
  readonly shapes: MethodShapes | undefined
}

/**
 * Asks a server for its methods, in the order of their definition.
 *
 * Fails with `ConnectFailed`, `HandshakeTimeout` or `HandshakeRefused`, as making a client does.
 */
export const describe = (options: {
  /** The domain that serves. */
  readonly domain: DomId
  /** The service's name there. */
  readonly service: string
  /** How long to wait for the service to be there, and then for its Hello: 5 seconds each where left out. */
  readonly timeout?: Duration.Input | undefined
}): Effect.Effect<ReadonlyArray<MethodDescription>, VchanRpcError, GrantTable | EventChannel | XenStore> =>
  Effect.scoped(Effect.gen(function*() {
    const { domain, service } = options
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
    const vchan = yield* Effect.mapError(
      Listener.connect({ domid: domain, path: servicePath(domain, service), timeout }),
      (error) => new VchanRpcError({ domid: domain, service, reason: new ConnectFailed({ error }) })
    )
    const helloTimeout = Duration.toMillis(timeout)
    const engine = yield* engineOver(vchan, [], { service, helloTimeout, keepalive: false, describe: true })
    const { methods } = yield* Deferred.await(engine.greeted)
    return methods.map(({ name, shapes }) => ({ name, shapes }))
  }))

/** A method that gives one value, known by its shapes alone. */
export type Unary = Rpc.Rpc<string, PlainSchema, PlainSchema, PlainSchema>
/** A method that gives a stream, known by its shapes alone. */
export type Streaming = Rpc.Rpc<string, PlainSchema, RpcSchema.Stream<PlainSchema, PlainSchema>>

/** The payload of a method, with the stream that it carries, if it does, under a name that is nothing else's. */
const payloadOf = ({ payload, upload }: MethodShapes): PlainSchema => {
  const rest = schemaOf(payload)
  if (upload === undefined) return rest
  const stream = RpcSchema.Stream(schemaOf(upload.item), schemaOf(upload.error))
  if (!Predicate.hasProperty(rest, "fields") || !Predicate.isObject(rest.fields)) return stream
  const fields = rest.fields as Readonly<Record<string, PlainSchema>>
  let name = "stream"
  while (name in fields) name += "_"
  return Schema.Struct({ ...fields, [name]: stream })
}

/** What a payload with a stream consists of. */
export interface Uploading extends Upload {
  /** The payload without its stream. */
  readonly rest: PlainSchema
  /** The stream's items. */
  readonly item: PlainSchema
}

/** The parts of a payload of one of these methods, where it carries a stream. */
export const uploadingOf = (payload: PlainSchema): Uploading | undefined => {
  const upload = uploadOf(payload)
  // Both were made of shapes.
  return upload && { ...upload, rest: upload.rest as PlainSchema, item: upload.item as PlainSchema }
}

/**
 * The methods whose shapes are told as groups for `VchanRpcClient.make`, by what their calls give. `Schema.toCodecJson` of an Rpc's schemas reads
 * and writes the JSON that people type. Fingerprints are the server's own: calls travel as between two programs that have the code.
 *
 * A method is left out, too, where a union of its values has members that hold themselves again and are not told apart by their kinds or
 * tags: to find out which of them a value is could take for ever.
 */
export const groupsOf = (
  methods: ReadonlyArray<MethodDescription>
): { readonly unary: RpcGroup.RpcGroup<Unary>; readonly streams: RpcGroup.RpcGroup<Streaming> } => {
  const unary: Array<Unary> = []
  const streams: Array<Streaming> = []
  for (const { name, shapes } of methods) {
    if (shapes === undefined || ambiguityOf(shapes) !== undefined) continue
    const schemas = { payload: payloadOf(shapes), success: schemaOf(shapes.success), error: schemaOf(shapes.error) }
    if (shapes.stream) streams.push(Rpc.make(name, { ...schemas, stream: true }))
    else unary.push(Rpc.make(name, schemas))
  }
  return { unary: RpcGroup.make(...unary), streams: RpcGroup.make(...streams) }
}
