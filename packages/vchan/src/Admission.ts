/**
 * The places in XenStore where a service and its clients meet, each below the service's directory in the server's own tree.
 *
 * | place | who may | what for |
 * |--|--|--|
 * | `req/any/<id>` | create: everybody | knocks, where the service admits any domain: each asks for a place of its domain's own |
 * | `req/<domid>/<id>` | create: that domain | requests |
 * | `vchan/<domid>/<id>` | read: that domain | the answer: a vchan for this request, or the key `refused` with a word that says why not |
 *
 * A domain that the service names has its place from the beginning. In the place for all nothing stays: whoever may knock there may remove it, with
 * all that is in it. In its own place a domain can harm nobody else.
 *
 * A request is closed by its client, at once, to all but the server: what an unprivileged domain creates is owned by it, and the owner is the
 * caller, whatever the value says. The request stays for as long as the connection does, and goes with its owner's domain: so the server
 * learns of that. One that goes without an answer, or a knock without a place, tells its client nothing but that nobody will answer: the server
 * ended, its successor began, or somebody removed the place for all. The client then asks anew, under another name.
 */
import type { DomId, Permission, Permissions, XenStoreAccess, XenStoreError } from "@vchan/xen"
import { Effect, Option } from "effect"
import { isUnseen, readKey } from "./storeAnswers.ts"

/** Where a service's directory is, for everybody: relative paths are in the server's own tree. */
export const serviceDirectory = (server: DomId, path: string): string => path.startsWith("/") ? path : `/local/domain/${server}/${path}`

export const requestsDirectory = (service: string): string => `${service}/req`

/** The name of the place for all. */
export const anybody = "any"

/** Where a domain may ask, or knock. */
export const placePath = (service: string, domid: DomId | typeof anybody): string => `${requestsDirectory(service)}/${domid}`

export const answersDirectory = (service: string): string => `${service}/vchan`

export const answersTo = (service: string, client: DomId): string => `${answersDirectory(service)}/${client}`

export const answerPath = (service: string, client: DomId, id: string): string => `${answersTo(service, client)}/${id}`

/** Where an answer says that it is none. */
const refusedKey = (answer: string): string => `${answer}/refused`

/** Why a server answers no vchan, by the word that says so. */
const refusals = {
  limit: "this domain has as many connections there as the server lets a domain have",
  shortage: "the server is short of something that a connection takes, such as pages, ports or room in XenStore"
} as const

export type Refusal = keyof typeof refusals

/** Why the server refused, for people, where it did. Its word is looked up and never shown. */
export const readRefusal = (store: XenStoreAccess, answer: string): Effect.Effect<Option.Option<string>, XenStoreError> =>
  Effect.map(
    readKey(store, refusedKey(answer)),
    Option.map((word) => word === "limit" || word === "shortage" ? refusals[word] : "the server gives no reason that is known here")
  )

/** Refuses: the answer is a word that the client may read. */
export const writeRefusal = (
  store: XenStoreAccess,
  options: { readonly own: DomId; readonly client: DomId; readonly answer: string; readonly refusal: Refusal }
): Effect.Effect<void, XenStoreError> => {
  const { answer, client, own, refusal } = options
  const key = refusedKey(answer)
  return Effect.andThen(store.write(key, refusal), store.setPermissions(key, [...closed(own), { domid: client, access: "r" }]))
}

/** What is accepted as a request's name: it becomes part of the answer's path. */
export const isRequestId = (id: string): boolean => /^[A-Za-z0-9_-]{1,8}$/.test(id)

/** How many bytes of names the place for all may hold before it is worth emptying: XenStore lets a guest fill it up to about 2000. */
export const crowded = 1000

/** Nobody but the owner may do anything. */
export const closed = (owner: DomId): readonly [Permission] => [{ domid: owner, access: "n" }]

/** Makes a directory, or gives one that is there already these permissions. */
export const makeDirectory = (store: XenStoreAccess, path: string, permissions: Permissions): Effect.Effect<void, XenStoreError> =>
  Effect.andThen(store.makeDirectory(path), store.setPermissions(path, permissions))

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** A name that nobody can guess and take first, yet short: all names of a directory have to fit in 2048 bytes. */
export const randomId: Effect.Effect<string> = Effect.sync(() =>
  Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => alphabet.charAt(byte % alphabet.length)).join("")
)

/**
 * Writes a request, or a knock, and gives its key; undefined where there is no such place for this domain.
 *
 * In no transaction: in the place for all, others could make each conflict for as long as they like.
 */
export const writeRequest = (
  store: XenStoreAccess,
  options: { readonly place: string; readonly id: string; readonly client: DomId; readonly server: DomId }
): Effect.Effect<string | undefined, XenStoreError> => {
  const { client, id, place, server } = options
  const key = `${place}/${id}`
  // Looked for first: a privileged domain could write anywhere, and would leave a request where no server is.
  return store.getPermissions(place).pipe(
    Effect.andThen(store.write(key, "1")),
    Effect.andThen(store.setPermissions(key, [{ domid: client, access: "n" }, { domid: server, access: "b" }])),
    Effect.as(key),
    Effect.catchIf(isUnseen, () => Effect.undefined)
  )
}

/** Whether a request is still there. Another domain's in its place is none. */
export const isAsked = (store: XenStoreAccess, key: string, client: DomId): Effect.Effect<boolean, XenStoreError> =>
  store.getPermissions(key).pipe(
    Effect.map(([owner]) => owner.domid === client),
    Effect.catchIf(isUnseen, () => Effect.succeed(false))
  )
