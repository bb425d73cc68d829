/** The store: one SQLite file, opened for as long as the Layer lives. */
import { Effect, PubSub, Schema, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"
import { Change, Full, KeyValue, NoSuchKey } from "./contract.ts"

/** How many keys a domain may have, removed ones included: a domain fills its own share and no more. */
const limit = 1000

const tables = `
  pragma journal_mode = wal;
  create table if not exists entry (key text primary key, value text, version integer not null unique) strict`

const changesIn = Schema.decodeUnknownSync(Schema.Array(Change))

export const layer = (file: string) =>
  KeyValue.toLayer(Effect.gen(function*() {
    const database = yield* Effect.acquireRelease(Effect.sync(() => new DatabaseSync(file)), (database) =>
      Effect.sync(() => database.close()))
    database.exec(tables)
    // No key has a ~ in it, so these are all that begin with the first parameter.
    const below = "key between ?1 and ?1 || '~'"
    const get = database.prepare("select value from entry where key = ?")
    const count = database.prepare(`select count(*) as count from entry where ${below}`)
    const since = database.prepare(`select * from entry where ${below} and version > ?2 order by version limit 100`)
    const put = database.prepare(`
      insert into entry values (?, ?, (select coalesce(max(version), 0) + 1 from entry))
      on conflict do update set value = excluded.value, version = excluded.version`)

    const written = yield* PubSub.sliding<void>(1)
    const write = Effect.fnUntraced(function*(key: string, value: string | null) {
      put.run(key, value)
      yield* PubSub.publish(written, undefined)
    })
    const owned = (key: string) =>
      Number(count.get(key.slice(0, key.indexOf("/") + 1))?.["count"])

    return KeyValue.of({
      Get: ({ key }) =>
        Effect.suspend(() => {
          const value = get.get(key)?.["value"]
          return typeof value === "string" ? Effect.succeed(value) : new NoSuchKey({ key })
        }),
      Set: Effect.fnUntraced(function*({ key, value }) {
        if (get.get(key) === undefined && owned(key) >= limit) return yield* new Full({ limit })
        yield* write(key, value)
      }),
      Remove: ({ key }) => Effect.suspend(() => typeof get.get(key)?.["value"] === "string" ? write(key, null) : Effect.void),
      Watch: ({ after, key }) =>
        Stream.unwrap(Effect.gen(function*() {
          // Subscribed before the first look, so that nothing is missed between two.
          const news = yield* PubSub.subscribe(written)
          let seen = after
          const look: Effect.Effect<ReadonlyArray<Change>> = Effect.suspend(() => {
            const changes = changesIn(since.all(key, seen))
            seen = changes.at(-1)?.version ?? seen
            return changes.length > 0 ? Effect.succeed(changes) : Effect.andThen(PubSub.take(news), look)
          })
          return Stream.flattenIterable(Stream.fromEffectRepeat(look))
        }))
    })
  }))
