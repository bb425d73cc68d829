/**
 * The operations of the control socket that a process asks for: words in, hypervisor's answer, words out.
 */
import {
  type DomId,
  type GrantsExhausted,
  type Guest,
  isDomId,
  type NoSuchGrant,
  type NoSuchPort,
  pageSize,
  type PortsExhausted,
  type SystemRefusal,
  type UnmapNotify,
  XenStoreWire
} from "@vchan/xen"
import { Result } from "effect"
import type { Refusal } from "./ControlProtocol.ts"

/** What an operation answers: words, or why not. */
type Outcome = Result.Result<ReadonlyArray<number>, Refusal>

/** One operation of a process. */
export type GuestOperation = (guest: Guest, words: ReadonlyArray<string>) => Outcome

/** The words are not what the operation takes. */
export const invalid = (text: string): Refusal => ({ code: "EINVAL", number: 0, text })

/** A number in a request. */
const numberIn = (word: string | undefined, what: string): Result.Result<number, Refusal> => {
  const value = XenStoreWire.parseNumber(word ?? "")
  return value === undefined ? Result.fail(invalid(`${what} is to be a number`)) : Result.succeed(value)
}

/** A domid in a request. */
export const domidIn = (word: string | undefined): Result.Result<DomId, Refusal> =>
  Result.filterOrFail(numberIn(word, "the domid"), isDomId, () => invalid("domids go from 0 to 32751"))

/** `<byte>:<port>`, or `-` for none; the byte must lie in the first `size` bytes. */
const notifyIn = (word: string | undefined, size: number): Result.Result<UnmapNotify | undefined, Refusal> => {
  if (word === "-") return Result.succeed(undefined)
  const [byte, port] = (word ?? "").split(":")
  return Result.gen(function*() {
    const clearByte = yield* numberIn(byte, "the notify's byte")
    if (clearByte >= size) return yield* Result.fail(invalid(`the notify's byte is to be below ${size}`))
    return { clearByte, port: yield* numberIn(port, "the notify's port") }
  })
}

/** Why the hypervisor refuses, with the one number that its client does not know. */
export const refusalOf = (reason: GrantsExhausted | NoSuchGrant | NoSuchPort | PortsExhausted | SystemRefusal): Refusal => {
  switch (reason._tag) {
    case "GrantsExhausted":
    case "PortsExhausted":
      return { code: reason._tag, number: reason.limit ?? 0, text: reason.message }
    case "NoSuchGrant":
      return { code: reason._tag, number: reason.reference, text: reason.message }
    case "NoSuchPort":
      return { code: reason._tag, number: reason.port, text: reason.message }
    case "SystemRefusal":
      return { code: reason.code, number: 0, text: `${reason.call}: ${reason.hint}` }
  }
}

/** The operations by name; docs/EMULATED-HOST.md tells what each takes and answers. */
export const guestOperations: ReadonlyMap<string, GuestOperation> = new Map<string, GuestOperation>([
  ["share", (guest, [domid, count, notify]) =>
    Result.gen(function*() {
      const pages = yield* numberIn(count, "the count")
      if (pages === 0) return yield* Result.fail(invalid("a share has at least one page"))
      const answer = guest.share(yield* domidIn(domid), pages, yield* notifyIn(notify, pages * pageSize))
      return [yield* Result.mapError(answer, refusalOf)]
    })],
  ["end-share", (guest, [first]) => Result.map(numberIn(first, "the reference"), (first) => (guest.endShare(first), []))],
  ["map", (guest, [domid, notify, ...words]) =>
    Result.gen(function*() {
      const references = yield* Result.all(words.map((word) => numberIn(word, "a reference")))
      if (references.length === 0) return yield* Result.fail(invalid("a mapping has at least one page"))
      const answer = guest.map(yield* domidIn(domid), references, yield* notifyIn(notify, pageSize))
      return [yield* Result.mapError(answer, refusalOf)]
    })],
  ["end-map", (guest, [mapping]) => Result.map(numberIn(mapping, "the mapping"), (mapping) => (guest.unmap(mapping), []))],
  ["bind-unbound", (guest, [domid]) =>
    Result.gen(function*() {
      return [yield* Result.mapError(guest.bindUnbound(yield* domidIn(domid)), refusalOf)]
    })],
  ["bind-interdomain", (guest, [domid, port]) =>
    Result.gen(function*() {
      const answer = guest.bindInterdomain(yield* domidIn(domid), yield* numberIn(port, "the port"))
      return [yield* Result.mapError(answer, refusalOf)]
    })],
  ["unbind", (guest, [port]) => Result.map(numberIn(port, "the port"), (port) => (guest.unbind(port), []))]
])
