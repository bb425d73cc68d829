/**
 * Trying again whenever XenStore changes, until the time is over. Nothing is held beyond the wait but what the attempt that worked acquired.
 */
import { type DomId, ownDomid, XenStore, type XenStoreError } from "@vchan/xen"
import { Data, Duration, Effect, Exit, Option, Scope, Stream } from "effect"
import { asVchanError } from "./asVchanError.ts"
import { isOutOfWatches } from "./storeAnswers.ts"
import { ServerAbsent, VchanError } from "./VchanError.ts"

/** How long a client waits for its server where nothing else is said. */
const defaultTimeout: Duration.Input = "5 seconds"

/** A wait that has begun, of `allowed` milliseconds. */
export interface Wait {
  readonly since: number
  readonly allowed: number
}

/** Begins to wait now. */
export const waitFor = (timeout: Duration.Input | undefined): Wait => ({
  since: performance.now(),
  allowed: Duration.toMillis(timeout ?? defaultTimeout)
})

/** The milliseconds that are left to wait. */
export const left = ({ allowed, since }: Wait): number => Math.max(0, since + allowed - performance.now())

/** The end of a wait for nobody. */
export const nobodyCame = (domid: DomId, path: string, waitedMillis: number): Effect.Effect<never, VchanError, XenStore> =>
  ownDomid.pipe(
    Effect.mapError(asVchanError(domid, path)),
    Effect.flatMap((client) => Effect.fail(new VchanError({ domid, path, reason: new ServerAbsent({ waitedMillis, client }) })))
  )

/** Not every change is to be seen in the store: a port that another client held becomes free without a sign there. */
const retryInterval = "250 millis"

/** An attempt did not work, but a later one may: with the refusal to tell if none does. */
export class NotYet extends Data.TaggedError("NotYet")<{ readonly refusal?: VchanError }> {}

/**
 * Runs `attempt` at once, then at each change at or below one of `watch`, until it works. What failed attempts acquired is released at once.
 */
export const untilItWorks = Effect.fnUntraced(function*<A, R>(options: {
  readonly domid: DomId
  readonly path: string
  readonly watch: ReadonlyArray<string>
  readonly wait: Wait
  readonly attempt: Effect.Effect<A, VchanError | NotYet, R>
}): Effect.fn.Return<A, VchanError, Exclude<R, Scope.Scope> | Scope.Scope | XenStore> {
  const { domid, path, wait } = options
  const store = yield* XenStore
  let refusal: VchanError | undefined
  const attempt = keepIfItWorks(options.attempt).pipe(
    Effect.map(Option.some),
    Effect.catchTag("NotYet", (notYet) => {
      refusal = notYet.refusal
      return Effect.succeedNone
    })
  )
  const first = yield* attempt
  if (Option.isSome(first)) return first.value
  // Without a watch to spend the retries have to do.
  const changes = options.watch.map((path): Stream.Stream<unknown, XenStoreError> =>
    Stream.catchIf(store.watch(path), isOutOfWatches, () => Stream.empty)
  )
  const later = yield* Stream.mergeAll([...changes, Stream.drop(Stream.tick(retryInterval), 1)], { concurrency: "unbounded" }).pipe(
    Stream.mapError(asVchanError(domid, path)),
    Stream.mapEffect(() => attempt),
    Stream.filter(Option.isSome),
    Stream.runHead,
    Effect.map(Option.flatten),
    Effect.timeoutOrElse({ duration: left(wait), orElse: () => Effect.succeedNone })
  )
  if (Option.isSome(later)) return later.value
  return yield* refusal ?? nobodyCame(domid, path, wait.allowed)
})

/** Hands what was acquired to the surrounding Scope where the effect succeeds, and releases it at once where not. */
export const keepIfItWorks = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* restore(Scope.provide(effect, scope)).pipe(
      Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
    )
  }))
