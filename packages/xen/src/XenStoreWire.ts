/**
 * XenStore's wire protocol as pure data: packets to bytes and back, and the texts inside their payloads.
 *
 * No I/O and no state but a {@link Decoder}'s unfinished packet, which its user drops with it. Source: public/io/xs_wire.h and
 * docs/misc/xenstore.txt in Xen's sources.
 */
import { isDomId } from "./DomId.ts"
import type { Access, Permission } from "./XenStore.ts"

/** The packet types (`enum xsd_sockmsg_type`); 20 is no longer used. */
export const Operation = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22
} as const

/** The name of a packet type. */
export type OperationName = keyof typeof Operation

/** The size of a packet's header in bytes: type, request, transaction and payload length, each a little-endian u32. */
export const headerSize = 16

/** The most bytes a payload may have (`XENSTORE_PAYLOAD_MAX`). A server drops a client that sends more. */
export const maxPayload = 4096

/** The most bytes an absolute path may have (`XENSTORE_ABS_PATH_MAX`). */
export const maxAbsolutePath = 3072

/** The most bytes a relative path, or the name of a special watch, may have (`XENSTORE_REL_PATH_MAX`). */
export const maxRelativePath = 2048

/** One packet, in either direction. The three numbers are u32. */
export interface Packet {
  /** One of {@link Operation}, or a number that a stranger made up. */
  readonly type: number
  /** Chosen by the client; the reply repeats it. 0 in watch events. */
  readonly requestId: number
  /** 0 outside any transaction. */
  readonly transactionId: number
  /** At most {@link maxPayload} bytes. */
  readonly payload: Uint8Array
}

/** A packet's bytes. Throws a `RangeError` when the payload is over {@link maxPayload}. */
export const encode = (packet: Packet): Uint8Array<ArrayBuffer> => {
  const length = packet.payload.length
  if (length > maxPayload) throw new RangeError(`a XenStore payload has at most ${maxPayload} bytes, not ${length}`)
  const bytes = new Uint8Array(headerSize + length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, packet.type, true)
  view.setUint32(4, packet.requestId, true)
  view.setUint32(8, packet.transactionId, true)
  view.setUint32(12, length, true)
  bytes.set(packet.payload, headerSize)
  return bytes
}

/** A header announced a payload over {@link maxPayload}: nothing after it can be told apart, and the connection has to end. */
export interface Oversized {
  readonly _tag: "Oversized"
  readonly type: number
  readonly requestId: number
  /** The bytes announced. */
  readonly length: number
}

/** What a piece of input completed. */
export interface Decoded {
  readonly packets: ReadonlyArray<Packet>
  /** Set from the packet on that broke the protocol: `packets` came before it, and none will come after. */
  readonly violation: Oversized | undefined
}

/**
 * Cuts a stream of bytes into packets. However the bytes are cut, the packets are the same.
 *
 * Input is copied before it is looked at, so it may be memory that its sender goes on writing. Holds at most one packet's bytes.
 */
export class Decoder {
  readonly #header = new Uint8Array(headerSize)
  readonly #view = new DataView(this.#header.buffer)
  #headerUsed = 0
  #payload: Uint8Array<ArrayBuffer> | undefined
  #payloadUsed = 0
  #violation: Oversized | undefined

  /** Takes the next bytes. */
  feed(bytes: Uint8Array): Decoded {
    const packets: Array<Packet> = []
    let offset = 0
    while (this.#violation === undefined) {
      if (this.#payload === undefined) {
        const part = bytes.subarray(offset, offset + headerSize - this.#headerUsed)
        this.#header.set(part, this.#headerUsed)
        this.#headerUsed += part.length
        offset += part.length
        if (this.#headerUsed < headerSize) break
        this.#open()
      } else {
        const part = bytes.subarray(offset, offset + this.#payload.length - this.#payloadUsed)
        this.#payload.set(part, this.#payloadUsed)
        this.#payloadUsed += part.length
        offset += part.length
        if (this.#payloadUsed < this.#payload.length) break
        packets.push(this.#close(this.#payload))
      }
    }
    return { packets, violation: this.#violation }
  }

  #open(): void {
    const length = this.#view.getUint32(12, true)
    if (length <= maxPayload) {
      this.#payload = new Uint8Array(length)
      this.#payloadUsed = 0
    } else {
      this.#violation = {
        _tag: "Oversized",
        type: this.#view.getUint32(0, true),
        requestId: this.#view.getUint32(4, true),
        length
      }
    }
  }

  #close(payload: Uint8Array): Packet {
    this.#headerUsed = 0
    this.#payload = undefined
    return {
      type: this.#view.getUint32(0, true),
      requestId: this.#view.getUint32(4, true),
      transactionId: this.#view.getUint32(8, true),
      payload
    }
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A text's bytes in UTF-8. */
export const encodeText = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** The text that the bytes hold; undefined when they are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** A payload of texts with a NUL after each. No text may hold a NUL itself. */
export const encodeStrings = (texts: Iterable<string>): Uint8Array<ArrayBuffer> => {
  let joined = ""
  for (const text of texts) joined += `${text}\0`
  return encodeText(joined)
}

/** The texts in a payload; undefined when the last has no NUL after it, or they are not UTF-8. An empty payload has none. */
export const decodeStrings = (payload: Uint8Array): ReadonlyArray<string> | undefined => {
  if (payload.length === 0) return []
  if (payload[payload.length - 1] !== 0) return undefined
  return decodeText(payload.subarray(0, -1))?.split("\0")
}

/** The payload of a WRITE: the path, a NUL, and the value as it is. */
export const encodeWrite = (path: string, value: Uint8Array): Uint8Array<ArrayBuffer> => {
  const head = encodeStrings([path])
  const payload = new Uint8Array(head.length + value.length)
  payload.set(head)
  payload.set(value, head.length)
  return payload
}

/** The path and the value in a WRITE's payload; undefined when no NUL ends the path. The value is a view of the payload. */
export const decodeWrite = (payload: Uint8Array): { readonly path: string; readonly value: Uint8Array } | undefined => {
  const end = payload.indexOf(0)
  if (end < 0) return undefined
  const path = decodeText(payload.subarray(0, end))
  return path === undefined ? undefined : { path, value: payload.subarray(end + 1) }
}

/** A permission as the protocol writes it: `r5`. */
export const formatPermission = (permission: Permission): string => `${permission.access}${permission.domid}`

const accesses = new Map<string, Access>([["n", "n"], ["r", "r"], ["w", "w"], ["b", "b"]])

/** The permission that a text such as `r5` means; undefined when it means none. */
export const parsePermission = (text: string): Permission | undefined => {
  const access = accesses.get(text.slice(0, 1))
  const domid = parseNumber(text.slice(1))
  return access !== undefined && isDomId(domid) ? { domid, access } : undefined
}

/** A u32 in plain decimal, as in domids, transaction numbers and offsets; undefined for any other text. */
export const parseNumber = (text: string): number | undefined => {
  if (!/^[0-9]{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value <= 0xFFFF_FFFF ? value : undefined
}

/** Whether a node may be called so. */
export const isNodeName = (name: string): boolean => /^[A-Za-z0-9\-_@]+$/.test(name)

/**
 * Whether the text is a path to a node: of the characters `[A-Za-z0-9-/_@]`, with no empty name in it, and within
 * {@link maxAbsolutePath} or {@link maxRelativePath} bytes. It may not start with `@`: see {@link isSpecialPath}.
 */
export const isPath = (path: string): boolean =>
  path === "/" ||
  (path.length <= (path.startsWith("/") ? maxAbsolutePath : maxRelativePath) &&
    /^(?!@)\/?[A-Za-z0-9\-_@]+(\/[A-Za-z0-9\-_@]+)*$/.test(path))

/** Whether the text names a special watch, such as `@releaseDomain`. */
export const isSpecialPath = (path: string): boolean => path.startsWith("@") && path.length <= maxRelativePath && isPath(`/${path}`)
