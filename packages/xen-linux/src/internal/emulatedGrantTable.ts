/**
 * The grant table of a process of an emulated host: the host keeps the books, and the pages of its file `pages` are mapped here.
 */
import {
  checkPageCount,
  type GrantReference,
  GrantsExhausted,
  type GrantTable,
  GrantTableError,
  NoSuchGrant,
  type SharedPages,
  type SystemRefusal,
  type UnmapNotify,
  UnsupportedMapping
} from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { type ControlClient, refusalBy } from "./ControlClient.ts"
import { mapPages, openPages } from "./Mapping.ts"
import type { RunDirectory } from "./RunDirectory.ts"

/** So that a request stays within a line of the control protocol. */
const mostPages = 4096

/** The grant table; `mapped` holds, for each mapping there is, what isolates it. */
export const makeGrantTable = Effect.fnUntraced(function*(options: {
  readonly control: ControlClient
  readonly directory: RunDirectory
  readonly mapped: Set<() => void>
}): Effect.fn.Return<GrantTable["Service"], SystemRefusal, Scope.Scope> {
  const { control, directory, mapped } = options
  const file = yield* openPages(directory.pages)

  const mapHere = (references: ReadonlyArray<GrantReference>, writable: boolean): Effect.Effect<SharedPages, SystemRefusal, Scope.Scope> =>
    mapPages({ file, references, writable }).pipe(
      Effect.tap(({ isolate }) =>
        Effect.acquireRelease(Effect.sync(() => mapped.add(isolate)), () => Effect.sync(() => mapped.delete(isolate)))
      ),
      Effect.map(({ buffer }) => ({ references, buffer }))
    )

  return {
    share: ({ count, domid, notify }) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          checkPageCount(count)
          return Effect.map(control.ask("share", domid, count, notifyWord(notify)), ([first]) => Number(first))
        }),
        (first) => control.dismiss("end-share", first)
      ).pipe(
        Effect.flatMap((first) => mapHere(Array.from({ length: count }, (_, index) => first + index), true)),
        Effect.catchTag("Refused", (refused) =>
          Effect.fail(
            refused.code === "GrantsExhausted"
              ? new GrantsExhausted({ limit: refused.number })
              : refusalBy(refused, `share ${count} pages with domain ${domid}`)
          )),
        Effect.mapError((reason) => new GrantTableError({ reason }))
      ),
    map: ({ domid, notify, references, writable }) =>
      Effect.gen(function*() {
        if (references.length > mostPages) return yield* new UnsupportedMapping({ domid, detail: `more than ${mostPages} pages at once` })
        yield* Effect.acquireRelease(
          control.ask("map", domid, notifyWord(notify), ...references),
          ([mapping]) => control.dismiss("end-map", mapping ?? "")
        )
        return yield* mapHere(references, writable)
      }).pipe(
        Effect.catchTag("Refused", (refused) =>
          Effect.fail(
            refused.code === "NoSuchGrant"
              ? new NoSuchGrant({ domid, reference: refused.number })
              : refusalBy(refused, `map pages of domain ${domid}`)
          )),
        Effect.mapError((reason) => new GrantTableError({ reason }))
      )
  }
})

const notifyWord = (notify: UnmapNotify | undefined): string => notify === undefined ? "-" : `${notify.clearByte}:${notify.port}`
