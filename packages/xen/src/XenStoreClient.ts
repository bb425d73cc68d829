/**
 * The {@link XenStore} service over the wire, to xenstored or to a host that plays its part.
 *
 * The client lives in the Scope it was made in and owns the connection. Watches and transactions end with their streams and bodies, or with
 * the connection. What the store sends is checked like any stranger's bytes.
 */
import { Effect, Exit, Option, Random, Schema, type Scope, Stream } from "effect"
import type { Socket } from "effect/socket"
import { makeStoreLink, type StoreLink } from "./internal/StoreLink.ts"
import { WatchBuffer } from "./internal/WatchBuffer.ts"
import { StoreProtocol, StoreRefusal, XenStoreErrno, XenStoreError } from "./XenError.ts"
import type { Permissions, XenStore, XenStoreAccess } from "./XenStore.ts"
import {
  decodeStrings,
  decodeText,
  encodeStrings,
  encodeText,
  encodeWrite,
  formatPermission,
  isNodeName,
  isPath,
  isSpecialPath,
  maxPayload,
  Operation,
  type OperationName,
  type Packet,
  parseNumber,
  parsePermission
} from "./XenStoreWire.ts"

/** A listing may not grow longer than this in bytes, whatever the store sends: all domids there can be have room in it. */
const maxListing = 1 << 18

interface Question {
  readonly operation: OperationName
  /** For messages; the payload has it as well where the operation takes one. */
  readonly path: string
  readonly payload: Uint8Array
  readonly transactionId: number
}

type Answer<A> = Effect.Effect<A, XenStoreError>

const failure = (reason: StoreRefusal | StoreProtocol): Answer<never> => Effect.fail(new XenStoreError({ reason }))

const protocol = ({ operation, path }: Question, detail: string): Answer<never> => failure(new StoreProtocol({ operation, path, detail }))

const decodeErrno = Schema.decodeUnknownOption(XenStoreErrno)

const requestOf = ({ operation, payload, transactionId }: Question) => ({ type: Operation[operation], transactionId, payload })

/** What a reply says: its payload, or the error it is. */
const payloadOf = (question: Question, reply: Packet): Answer<Uint8Array> => {
  if (reply.type === Operation[question.operation]) return Effect.succeed(reply.payload)
  if (reply.type !== Operation.ERROR) return protocol(question, `the store answered with a packet of type ${reply.type}`)
  const name = decodeStrings(reply.payload)?.[0] ?? ""
  return Option.match(decodeErrno(name), {
    onNone: () => protocol(question, `the store answered with an unknown error, ${JSON.stringify(name.slice(0, 64))}`),
    onSome: (code) => failure(new StoreRefusal({ operation: question.operation, path: question.path, code }))
  })
}

const ask = (link: StoreLink, question: Question, late?: (reply: Packet) => void): Answer<Uint8Array> =>
  question.payload.length > link.maxPayload
    ? protocol(
      question,
      `the request has ${question.payload.length} bytes and at most ${link.maxPayload} fit: spread the value over several keys`
    )
    : Effect.flatMap(link.call(requestOf(question), late), (reply) => payloadOf(question, reply))

/** Asks what is not taken back by an interruption, which only ends the waiting for the answer. */
const insist = (link: StoreLink, question: Question): Answer<Uint8Array> =>
  Effect.flatMap(
    Effect.callback<Packet, XenStoreError>((resume) => link.post(requestOf(question), resume)),
    (reply) => payloadOf(question, reply)
  )

/** Tells the store, in a finalizer, what it need not hold any longer: waits until that is done, but not for a store that is stuck. */
const dismiss = (link: StoreLink, question: Question): Effect.Effect<void> =>
  insist(link, question).pipe(Effect.interruptible, Effect.timeoutOption("1 second"), Effect.ignore)

/** The operations on nodes, in a transaction or outside any (0). */
const makeAccess = (link: StoreLink, transactionId: number): XenStoreAccess => {
  const onPath = (operation: OperationName, path: string, payload: Uint8Array = encodeStrings([path])): Question => ({
    operation,
    path,
    payload,
    transactionId
  })
  const checked = <A>(question: Question, then: (payload: Uint8Array) => Answer<A>): Answer<A> =>
    Effect.suspend(() =>
      isPath(question.path)
        ? Effect.flatMap(ask(link, question), then)
        : failure(new StoreRefusal({ operation: question.operation, path: question.path, code: "EINVAL" }))
    )
  const done = () => Effect.void

  return {
    read: (path) => {
      const question = onPath("READ", path)
      return checked(question, (payload) => {
        const text = decodeText(payload)
        return text === undefined ? protocol(question, "the value is not UTF-8") : Effect.succeed(text)
      })
    },
    write: (path, value) => checked(onPath("WRITE", path, encodeWrite(path, encodeText(value))), done),
    makeDirectory: (path) => checked(onPath("MKDIR", path), done),
    remove: (path) => checked(onPath("RM", path), done),
    directory: (path) => {
      const question = onPath("DIRECTORY", path)
      return checked(question, (payload) => namesIn(question, payload)).pipe(
        Effect.catchIf((error) => error.code === "E2BIG", () => longListing(link, { ...question, operation: "DIRECTORY_PART" }))
      )
    },
    getPermissions: (path) => {
      const question = onPath("GET_PERMS", path)
      return checked(question, (payload) => {
        const [owner, ...others] = (decodeStrings(payload) ?? []).map(parsePermission)
        const known = others.filter((other) => other !== undefined)
        return owner === undefined || known.length < others.length
          ? protocol(question, "the store's answer holds no permissions")
          : Effect.succeed<Permissions>([owner, ...known])
      })
    },
    setPermissions: (path, permissions) =>
      checked(onPath("SET_PERMS", path, encodeStrings([path, ...permissions.map(formatPermission)])), done)
  }
}

const namesIn = (question: Question, payload: Uint8Array): Answer<ReadonlyArray<string>> => {
  const names = decodeStrings(payload)
  return names === undefined || !names.every(isNodeName) ? protocol(question, "the store's answer holds no names") : Effect.succeed(names)
}

/** A listing too long for one packet, part by part; from the start again when the node changed in between. */
const longListing = Effect.fnUntraced(
  function*(link: StoreLink, question: Question): Effect.fn.Return<ReadonlyArray<string>, XenStoreError> {
    let listed = ""
    let generation: string | undefined
    while (listed.length <= maxListing) {
      const payload = yield* ask(link, { ...question, payload: encodeStrings([question.path, String(listed.length)]) })
      const text = decodeText(payload) ?? ""
      const end = text.indexOf("\0") + 1
      if (end === 0) return yield* protocol(question, "the store's answer holds no generation")
      if (generation !== undefined && generation !== text.slice(0, end)) {
        listed = ""
        generation = undefined
        continue
      }
      generation = text.slice(0, end)
      const part = text.slice(end)
      if (part === "\0" || part.endsWith("\0\0")) return yield* namesIn(question, encodeText(listed + part.slice(0, -1)))
      if (!part.endsWith("\0")) return yield* protocol(question, "the store's answer holds no names")
      listed += part
    }
    return yield* protocol(question, `the names take more than ${maxListing} bytes`)
  }
)

const start: Question = { operation: "TRANSACTION_START", path: "", payload: encodeStrings([""]), transactionId: 0 }

const end = (transactionId: number, verdict: "T" | "F"): Question => ({
  operation: "TRANSACTION_END",
  path: "",
  payload: encodeStrings([verdict]),
  transactionId
})

const transactionIn = (payload: Uint8Array): number => parseNumber(decodeStrings(payload)?.[0] ?? "") ?? 0

/** The most milliseconds between two runs of a transaction. */
const longestPause = 1000

/** Runs `body` once in a transaction. None when somebody else was faster. */
const attempt = <A, E, R>(
  link: StoreLink,
  body: (store: XenStoreAccess) => Effect.Effect<A, E, R>
): Effect.Effect<Option.Option<A>, E | XenStoreError, R> =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const id = transactionIn(
      yield* restore(ask(link, start, (reply) => {
        const late = reply.type === Operation.TRANSACTION_START ? transactionIn(reply.payload) : 0
        if (late !== 0) link.post(requestOf(end(late, "F")), () => {})
      }))
    )
    if (id === 0) return yield* protocol(start, "the store's answer holds no transaction")
    const exit = yield* Effect.exit(restore(Effect.suspend(() => body(makeAccess(link, id)))))
    if (Exit.isFailure(exit)) {
      yield* dismiss(link, end(id, "F"))
      return yield* Effect.failCause(exit.cause)
    }
    return yield* restore(insist(link, end(id, "T"))).pipe(
      Effect.as(Option.some(exit.value)),
      Effect.catchIf((error) => error.code === "EAGAIN", () => Effect.succeed(Option.none<A>()))
    )
  }))

/**
 * Connects to the store behind a socket, which is handed one whole packet a chunk. `host` is what its user calls it, for messages: a run
 * directory or a device. `maxPayload` is given where the way to the store takes less than the protocol's 4096 bytes.
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly socket: Socket.Socket
  readonly host: string
  readonly maxPayload?: number | undefined
}): Effect.fn.Return<XenStore["Service"], XenStoreError, Scope.Scope> {
  const link = yield* makeStoreLink({ ...options, maxPayload: options.maxPayload ?? maxPayload })
  let lastToken = 0

  const watch = (path: string): Stream.Stream<string, XenStoreError> =>
    Stream.unwrap(Effect.gen(function*() {
      if (!isPath(path) && !isSpecialPath(path)) return yield* failure(new StoreRefusal({ operation: "WATCH", path, code: "EINVAL" }))
      const token = String(++lastToken)
      const buffer = new WatchBuffer(path)
      const question: Question = { operation: "WATCH", path, payload: encodeStrings([path, token]), transactionId: 0 }
      yield* Effect.acquireRelease(
        Effect.sync(() => link.watches.set(token, buffer)),
        () => {
          link.watches.delete(token)
          return dismiss(link, { ...question, operation: "UNWATCH" })
        }
      )
      yield* ask(link, question)
      return Stream.fromPull(Effect.succeed(buffer.take))
    }))

  const transaction = Effect.fnUntraced(function*<A, E, R>(body: (store: XenStoreAccess) => Effect.Effect<A, E, R>) {
    for (let longest = 0;; longest = Math.min(3 * longest + 1, longestPause)) {
      const committed = yield* attempt(link, body)
      if (Option.isSome(committed)) return committed.value
      // Once at once; then each after a pause of its own, or all that change one node would be run again for each that is committed.
      if (longest > 0) yield* Effect.sleep(longest * (yield* Random.next))
    }
  })

  return {
    ...makeAccess(link, 0),
    watch,
    transaction,
    isIntroduced: (domid) => {
      const question: Question = {
        operation: "IS_DOMAIN_INTRODUCED",
        path: String(domid),
        payload: encodeStrings([String(domid)]),
        transactionId: 0
      }
      return Effect.flatMap(ask(link, question), (payload) => {
        const text = decodeStrings(payload)?.[0]
        return text === "T" || text === "F" ? Effect.succeed(text === "T") : protocol(question, "the store's answer is neither T nor F")
      })
    }
  }
})
