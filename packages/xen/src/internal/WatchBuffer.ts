/**
 * The events of one watch that its reader has not taken yet.
 *
 * Events of one path are one event, and too many paths become the path watched, so a storm of changes takes no more memory than a few.
 */
import { Effect, Latch } from "effect"
import type { NonEmptyArray } from "effect/Array"
import { StoreProtocol, XenStoreError } from "../XenError.ts"

/** More paths than these are merged into one event. */
const maxPaths = 256

/** Events that wait for their reader. */
export class WatchBuffer {
  readonly #watched: string
  readonly #paths = new Set<string>()
  readonly #ready = Latch.makeUnsafe(false)
  #failure: XenStoreError | undefined

  constructor(watched: string) {
    this.#watched = watched
  }

  /** An event came. Its path has to be the one watched or lie below it. */
  add(path: string): void {
    const watched = this.#watched
    if (path !== watched && !path.startsWith(watched === "/" ? "/" : `${watched}/`)) {
      const detail = `the store sent an event for ${JSON.stringify(path.slice(0, 64))}, which lies elsewhere`
      return this.fail(new XenStoreError({ reason: new StoreProtocol({ operation: "WATCH", path: watched, detail }) }))
    }
    if (this.#paths.size >= maxPaths && !this.#paths.has(path)) {
      this.#paths.clear()
      this.#paths.add(watched)
    } else {
      this.#paths.add(path)
    }
    this.#ready.openUnsafe()
  }

  /** No more events will come. Those that came are still taken. */
  fail(error: XenStoreError): void {
    this.#failure ??= error
    this.#ready.openUnsafe()
  }

  /** Waits for events and takes all there are. */
  readonly take: Effect.Effect<NonEmptyArray<string>, XenStoreError> = Effect.suspend(() =>
    Effect.flatMap(this.#ready.await, () => {
      const [first, ...others] = this.#paths
      this.#paths.clear()
      if (first === undefined && this.#failure !== undefined) return Effect.fail(this.#failure)
      if (this.#failure === undefined) this.#ready.closeUnsafe()
      return first === undefined ? this.take : Effect.succeed<NonEmptyArray<string>>([first, ...others])
    })
  )
}
