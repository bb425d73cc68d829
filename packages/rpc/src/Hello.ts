/**
 * Hello: the first frame each way. The client tells the service it wants and its methods, the server answers with its own. Pure.
 *
 * The body is the 8 letters `vchanrpc`, the version as a u16, and JSON in UTF-8. A method that both sides describe with the same
 * fingerprint travels in the binary codec, one they describe differently in JSON. The order of the client's methods gives their indexes.
 */
import { Result, Schema } from "effect"
import { Limits } from "./Limits.ts"

/** The version of the protocol. Sides of different versions do not talk. */
export const version = 1

/** The most bytes that a Hello frame's length field may say. */
export const maxHello = 256 * 1024

/** How a side describes a method. */
const MethodEntry = Schema.Struct({
  name: Schema.String,
  /** Stands for the layout of the method's payload, value and errors. */
  fingerprint: Schema.String
})

/** What a side tells of itself. */
export const Hello = Schema.Struct({
  service: Schema.String,
  limits: Limits,
  methods: Schema.Array(MethodEntry).check(Schema.isMaxLength(0x10000))
})

/** What a side tells of itself. */
export type Hello = typeof Hello.Type

const HelloJson = Schema.fromJsonString(Hello)
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
  return Result.mapError(
    decodeJson(new TextDecoder().decode(body.subarray(prefix))),
    (error) => `a malformed Hello was sent: ${error.message}`
  )
}
