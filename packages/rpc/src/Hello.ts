/**
 * Hello: the first frame each way. The client tells the service it wants and its methods, the server answers with its own. Pure.
 *
 * The body is the 8 letters `vchanrpc`, the version as a u16, and JSON in UTF-8. A method that both sides tell with the same fingerprint
 * travels in the binary codec, another in JSON, and of that the server tells the shapes, so that the client knows what does not fit before it
 * calls. The order of the client's methods gives their indexes.
 */
import { shortened } from "@vchan/xen"
import { Result, Schema } from "effect"
import { Limits } from "./Limits.ts"
import { type MethodShapes, readMethodShapes } from "./MethodShapes.ts"
import { HandshakeRefused } from "./RpcError.ts"

/** The version of the protocol. Sides of different versions do not talk. */
export const version = 1

/** The most bytes that a Hello frame's length field may say. */
export const maxHello = 256 * 1024

/** The most bytes of a Hello that descriptions take. */
const maxDescriptions = 192 * 1024

/** How a side describes a method. */
const EntryBody = Schema.Struct({
  name: Schema.String,
  /** Stands for the layout of the method's payload, value and errors. */
  fingerprint: Schema.String,
  /** A server's, where the client has another fingerprint or asks for it. */
  shapes: Schema.optionalKey(Schema.Unknown)
})

const HelloBody = Schema.Struct({
  service: Schema.String,
  limits: Limits,
  methods: Schema.Array(EntryBody).check(Schema.isMaxLength(0x10000)),
  /** A client's: whether it wants to be told the shapes of all methods. */
  describe: Schema.optional(Schema.Boolean)
})

/** A method, as a side tells of it. */
export interface MethodEntry {
  readonly name: string
  readonly fingerprint: string
  readonly shapes?: MethodShapes | undefined
}

/** What a side tells of itself. */
export interface Hello extends Omit<typeof HelloBody.Type, "methods"> {
  readonly methods: ReadonlyArray<MethodEntry>
}

const HelloJson = Schema.fromJsonString(HelloBody)
const encodeJson = Schema.encodeSync(HelloJson)
const decodeJson = Schema.decodeUnknownResult(HelloJson)
const magic = new TextEncoder().encode("vchanrpc")
const prefix = magic.length + 2

/** The body of a Hello frame. */
export const encodeHello = (hello: Hello): Uint8Array => {
  const json = new TextEncoder().encode(encodeJson(hello))
  const body = new Uint8Array(prefix + json.length)
  body.set(magic)
  new DataView(body.buffer).setUint16(magic.length, version, true)
  body.set(json, prefix)
  return body
}

/** Reads a Hello frame's body, whatever its bytes are; a failure says what is wrong with it. */
export const decodeHello = (body: Uint8Array): Result.Result<Hello, string> => {
  if (body.length < prefix || !magic.every((byte, index) => body[index] === byte)) {
    return Result.fail("what was sent is no Hello of vchan-rpc")
  }
  const theirs = new DataView(body.buffer, body.byteOffset).getUint16(magic.length, true)
  if (theirs !== version) {
    return Result.fail(`a Hello of version ${theirs} was sent, and the receiver speaks version ${version} of vchan-rpc`)
  }
  const hello = decodeJson(new TextDecoder().decode(body.subarray(prefix)))
  if (Result.isFailure(hello)) return Result.fail(shortened(`a malformed Hello was sent: ${hello.failure.message}`))
  const methods: Array<MethodEntry> = []
  for (const { shapes, ...entry } of hello.success.methods) {
    const read = shapes === undefined ? Result.succeed(undefined) : readMethodShapes(shapes)
    if (Result.isFailure(read)) return Result.fail(shortened(`a malformed Hello was sent: ${JSON.stringify(entry.name)}: ${read.failure}`))
    methods.push({ ...entry, shapes: read.success })
  }
  return Result.succeed({ ...hello.success, methods })
}

/** Reads a Hello that should be of this service. Of another's the reason says what its service did, and what this one. */
export const greetingOf = (
  body: Uint8Array,
  service: string,
  [theirs, ours]: readonly [theirs: string, ours: string]
): Result.Result<Hello, HandshakeRefused> => {
  const refuse = (detail: string) => Result.fail(new HandshakeRefused({ detail }))
  const hello = decodeHello(body)
  if (Result.isFailure(hello)) return refuse(hello.failure)
  const other = hello.success.service
  if (other !== service) return refuse(`${JSON.stringify(other.slice(0, 100))} ${theirs}, and ${JSON.stringify(service)} ${ours}`)
  return Result.succeed(hello.success)
}

/**
 * What a server tells of its methods to the client that said this: the shapes of those that the client knows otherwise, or of all it asks for, as
 * far as they find room in a Hello.
 */
export const entriesFor = (methods: Iterable<MethodEntry>, theirs: Hello): ReadonlyArray<MethodEntry> => {
  const fingerprints = new Map(theirs.methods.map(({ fingerprint, name }) => [name, fingerprint]))
  let room = maxDescriptions
  return Array.from(methods, ({ fingerprint, name, shapes }) => {
    const isWanted = theirs.describe === true || (fingerprints.get(name) ?? fingerprint) !== fingerprint
    if (isWanted && shapes !== undefined) room -= Buffer.byteLength(JSON.stringify(shapes))
    return isWanted && room >= 0 ? { name, fingerprint, shapes } : { name, fingerprint }
  })
}
