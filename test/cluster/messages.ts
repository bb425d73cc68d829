/**
 * Where the messages of a cluster outlive its runners: Effect's `MessageStorage`, kept in one domain and called by the others. Envelopes and
 * replies travel as the JSON that they are.
 */
import { VchanRpcClient } from "@vchan/rpc"
import type { DomId } from "@vchan/xen"
import { Array as Arr, Effect, Layer, Option, Predicate, Schema } from "effect"
import { EntityAddress, type Envelope, MessageStorage, type Reply, Snowflake } from "effect/cluster"
import { Rpc, RpcGroup } from "effect/rpc"
import { persistent } from "./registry.ts"

const id = Snowflake.SnowflakeFromBigInt
const text = Schema.NullOr(Schema.String)
const Found = Schema.Array(Schema.Struct({ envelope: Schema.String, reply: text }))

export const Messages = RpcGroup.make(
  Rpc.make("SaveEnvelope", {
    payload: { envelope: Schema.String, primaryKey: text, deliverAt: Schema.NullOr(Schema.Number) },
    success: Schema.NullOr(Schema.Struct({ originalId: id, reply: text }))
  }),
  Rpc.make("SaveReply", { payload: { reply: Schema.String } }),
  Rpc.make("ClearReplies", { payload: { request: id, expectedReplyId: Schema.UndefinedOr(id) } }),
  Rpc.make("RequestFor", { payload: { primaryKey: Schema.String }, success: Schema.NullOr(id) }),
  Rpc.make("Replies", { payload: { requests: Schema.Array(Schema.String), all: Schema.Boolean }, success: Schema.Array(Schema.String) }),
  Rpc.make("Unprocessed", {
    payload: {
      shards: Schema.Array(Schema.String),
      now: Schema.Number,
      limit: Schema.UndefinedOr(Schema.Number),
      addresses: Schema.UndefinedOr(Schema.Array(EntityAddress.EntityAddress))
    },
    success: Found
  }),
  Rpc.make("UnprocessedById", { payload: { ids: Schema.Array(id), now: Schema.Number }, success: Found }),
  Rpc.make("ResetRequests", { payload: { requests: Schema.Array(id) } }),
  Rpc.make("ResetAddresses", { payload: { addresses: Schema.Array(EntityAddress.EntityAddress) } }),
  Rpc.make("ResetShards", { payload: { shards: Schema.Array(Schema.String) } }),
  Rpc.make("ClearAddress", { payload: { address: EntityAddress.EntityAddress } })
)

const isTagged = (tags: ReadonlyArray<string>) => (value: unknown) =>
  Predicate.hasProperty(value, "_tag") && tags.some((tag) => value._tag === tag)
const parser = <A>(tags: ReadonlyArray<string>) => {
  const is = isTagged(tags)
  const decode = Schema.decodeSync(Schema.fromJsonString(Schema.declare((value): value is A => is(value))))
  return (json: string): A => decode(json)
}
const envelopeOf = parser<Envelope.Encoded>(["Request", "AckChunk", "Interrupt"])
const replyOf = parser<Reply.Encoded>(["WithExit", "Chunk"])
const textOf = Option.match({ onNone: () => null, onSome: (reply: Reply.Encoded) => JSON.stringify(reply) })
const optional = (reply: string | null) => Option.map(Option.fromNullOr(reply), replyOf)

type Stored = Effect.Success<ReturnType<MessageStorage.Encoded["unprocessedMessages"]>>
const told = (found: Readonly<Stored>) =>
  found.map(({ envelope, lastSentReply }) => ({ envelope: JSON.stringify(envelope), reply: textOf(lastSentReply) }))
const heard = (found: typeof Found.Type): Stored =>
  found.map(({ envelope, reply }) => ({ envelope: envelopeOf(envelope), lastSentReply: optional(reply) }))

/** Asks for some, of which there may be none. */
const some = <A, B>(all: ReadonlyArray<A>, ask: (some: Arr.NonEmptyArray<A>) => Effect.Effect<ReadonlyArray<B>, unknown>) => {
  const list = [...all]
  return Arr.isArrayNonEmpty(list) ? Effect.orDie(ask(list)) : Effect.succeed([])
}

/** The messages that this process keeps, in its memory. */
export const messagesHandlers = Messages.toLayer(Effect.gen(function*() {
  const { encoded } = yield* MessageStorage.MemoryDriver
  return Messages.of({
    SaveEnvelope: ({ deliverAt, envelope, primaryKey }) =>
      encoded.saveEnvelope({ envelope: envelopeOf(envelope), primaryKey, deliverAt }).pipe(
        Effect.map((saved) => saved._tag === "Success" ? null : { originalId: saved.originalId, reply: textOf(saved.lastReceivedReply) }),
        Effect.orDie
      ),
    SaveReply: ({ reply }) => Effect.orDie(encoded.saveReply(replyOf(reply))),
    ClearReplies: ({ expectedReplyId, request }) => Effect.orDie(encoded.clearReplies(request, { expectedReplyId })),
    RequestFor: ({ primaryKey }) => Effect.orDie(Effect.map(encoded.requestIdForPrimaryKey(primaryKey), Option.getOrNull)),
    Replies: ({ all, requests }) =>
      Effect.map(
        some(requests, all ? encoded.repliesForUnfiltered : encoded.repliesFor),
        (replies) => replies.map((reply) => JSON.stringify(reply))
      ),
    Unprocessed: ({ now, shards, ...options }) =>
      Effect.map(some(shards, (shards) => encoded.unprocessedMessages(shards, now, options)), told),
    UnprocessedById: ({ ids, now }) => Effect.map(some(ids, (ids) => encoded.unprocessedMessagesById(ids, now)), told),
    ResetRequests: ({ requests }) => Effect.orDie(encoded.resetRequests(requests)),
    ResetAddresses: ({ addresses }) => Effect.orDie(encoded.resetAddresses(addresses)),
    ResetShards: ({ shards }) => Effect.asVoid(some(shards, (shards) => Effect.as(encoded.resetShards(shards), []))),
    ClearAddress: ({ address }) => Effect.orDie(encoded.clearAddress(address))
  })
})).pipe(Layer.provide(MessageStorage.MemoryDriver.layer))

/** The storage that a domain keeps. */
export const messagesStorage = (domain: DomId) =>
  Layer.effect(
    MessageStorage.MessageStorage,
    Effect.flatMap(VchanRpcClient.make(Messages, { domain, service: "messages" }), (messages) =>
      MessageStorage.makeEncoded({
        saveEnvelope: ({ envelope, ...options }) =>
          persistent(Effect.map(messages.SaveEnvelope({ envelope: JSON.stringify(envelope), ...options }), (duplicate) =>
            duplicate === null
              ? MessageStorage.SaveResultEncoded.Success()
              : MessageStorage.SaveResultEncoded.Duplicate({
                originalId: duplicate.originalId,
                lastReceivedReply: optional(duplicate.reply)
              }))),
        saveReply: (reply) => persistent(messages.SaveReply({ reply: JSON.stringify(reply) })),
        clearReplies: (request, options) => persistent(messages.ClearReplies({ request, expectedReplyId: options?.expectedReplyId })),
        requestIdForPrimaryKey: (primaryKey) => persistent(Effect.map(messages.RequestFor({ primaryKey }), Option.fromNullOr)),
        repliesFor: (requests) => persistent(Effect.map(messages.Replies({ requests, all: false }), Arr.map(replyOf))),
        repliesForUnfiltered: (requests) => persistent(Effect.map(messages.Replies({ requests, all: true }), Arr.map(replyOf))),
        unprocessedMessages: (shards, now, options) =>
          persistent(Effect.map(messages.Unprocessed({ shards, now, limit: options?.limit, addresses: options?.addresses }), heard)),
        unprocessedMessagesById: (ids, now) => persistent(Effect.map(messages.UnprocessedById({ ids, now }), heard)),
        resetRequests: (requests) => persistent(messages.ResetRequests({ requests })),
        resetAddresses: (addresses) => persistent(messages.ResetAddresses({ addresses })),
        resetShards: (shards) => persistent(messages.ResetShards({ shards })),
        clearAddress: (address) => persistent(messages.ClearAddress({ address })),
        withTransaction: (effect) => effect
      }))
  ).pipe(Layer.provide(Snowflake.layerGenerator))
