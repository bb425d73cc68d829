/**
 * The lines of the control socket, as pure data: requests `<id> <operation> <words…>`, answers `<id> ok <words…>` or
 * `<id> error <code> <number> <text…>`, and the one notice `* destroyed`. docs/EMULATED-HOST.md has the list of operations.
 */
import { XenStoreWire } from "@vchan/xen"

/** The most bytes a line may have, its end not counted: room for the references of the largest ring, many times over. */
export const maxLine = 1 << 16

/** The notice that this process's domain was destroyed. */
export const destroyedNotice = "* destroyed"

/** A request. */
export interface Request {
  /** Chosen by the client, a u32; the answer repeats it. */
  readonly id: number
  readonly operation: string
  readonly words: ReadonlyArray<string>
}

/** A refusal: what went wrong, the number it went wrong with (a reference, a port, a limit), and words for people. */
export interface Refusal {
  readonly code: string
  readonly number: number
  readonly text: string
}

/** An answer. */
export type Answer =
  | { readonly _tag: "Ok"; readonly id: number; readonly words: ReadonlyArray<string> }
  | { readonly _tag: "Refused"; readonly id: number; readonly refusal: Refusal }

export const formatRequest = (id: number, operation: string, words: ReadonlyArray<string | number>): string =>
  `${[id, operation, ...words].join(" ")}\n`

export const formatOk = (id: number, words: ReadonlyArray<string | number>): string => `${[id, "ok", ...words].join(" ")}\n`

export const formatRefusal = (id: number, { code, number, text }: Refusal): string =>
  `${id} error ${code} ${number} ${text.replaceAll(/\s+/g, " ")}\n`

/** The request in a line; undefined where there is none. */
export const parseRequest = (line: string): Request | undefined => {
  const [head = "", operation = "", ...words] = line.split(" ")
  const id = XenStoreWire.parseNumber(head)
  return id === undefined || operation === "" ? undefined : { id, operation, words }
}

/** The answer in a line; undefined where there is none. */
export const parseAnswer = (line: string): Answer | undefined => {
  const [head = "", verdict, ...words] = line.split(" ")
  const id = XenStoreWire.parseNumber(head)
  if (id === undefined) return undefined
  if (verdict === "ok") return { _tag: "Ok", id, words }
  const [code = "", number = "", ...text] = words
  if (verdict !== "error" || code === "") return undefined
  return { _tag: "Refused", id, refusal: { code, number: XenStoreWire.parseNumber(number) ?? 0, text: text.join(" ") } }
}

/** Cuts a stream of bytes into lines, however it comes in pieces. Holds at most one unfinished line. */
export class LineDecoder {
  private rest = ""
  private tooLong = false

  /** The lines that the bytes completed; undefined from the first line on that is over {@link maxLine}. */
  feed(bytes: Uint8Array): ReadonlyArray<string> | undefined {
    if (this.tooLong) return undefined
    const lines = (this.rest + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")).split("\n")
    this.rest = lines.pop() ?? ""
    this.tooLong = this.rest.length > maxLine || lines.some((line) => line.length > maxLine)
    return this.tooLong ? undefined : lines
  }
}
