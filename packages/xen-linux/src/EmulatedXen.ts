/**
 * This process as a process of a domain of an emulated host.
 *
 * It joins when the Layer is built and leaves when the Layer's Scope closes: what it still holds then is released, as the host releases it
 * when the process is killed. Pages and events go between processes without the host; once the host is gone, all calls fail with `HostLost`.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { type DomId, EventChannel, GrantTable, isDomId, SystemRefusal, type Xen, XenStore, XenStoreClient, XenStoreError } from "@vchan/xen"
import { Context, Effect, Layer, type Scope } from "effect"
import { connectControl, refusalBy } from "./internal/ControlClient.ts"
import { makeEventChannel } from "./internal/emulatedEventChannel.ts"
import { makeGrantTable } from "./internal/emulatedGrantTable.ts"
import { defaultSpinMicros } from "./internal/EventQueue.ts"
import { hostHint, runDirectory } from "./internal/RunDirectory.ts"

/** How a process joins a host. */
export interface EmulatedXenOptions {
  /** The host's run directory; where none is named it is `VCHAN_HOST`, else `$XDG_RUNTIME_DIR/vchan-host`, else `/dev/shm/vchan-host-<uid>`. */
  readonly directory?: string | undefined
  /** The domain to be a process of, which comes to be where it does not exist; where none is named it is `VCHAN_DOMID`, else a fresh one. */
  readonly domid?: DomId | undefined
  /** For how long a port that was busy is looked at before it sleeps, in microseconds up to 1000: 20 where not given; 0 sleeps at once. */
  readonly spinMicros?: number | undefined
}

/** Joins a host as a process of a domain. Fails with `HostMissing` where no host serves the directory. */
export const layer = (options?: EmulatedXenOptions): Layer.Layer<Xen, XenStoreError> => Layer.effectContext(join(options))

const join = Effect.fnUntraced(function*(
  options: EmulatedXenOptions | undefined
): Effect.fn.Return<Context.Context<Xen>, XenStoreError, Scope.Scope> {
  const directory = runDirectory(options?.directory)
  const named = options?.domid ?? (yield* domidFromEnvironment)
  // The host lends pages anew that this process has no right to any more, so none of them stays in sight.
  const mapped = new Set<() => void>()
  const isolateAll = () => mapped.forEach((isolate) => isolate())
  const { domid, events, grants } = yield* Effect.gen(function*() {
    const control = yield* connectControl({
      directory,
      hint: hostHint(options?.directory),
      destroyed: isolateAll
    })
    const [domid = 0, queue = 0] = yield* Effect.acquireRelease(
      Effect.map(control.ask("join", ...(named === undefined ? [] : [named])), (words) => words.map(Number)),
      () => Effect.andThen(Effect.sync(isolateAll), control.dismiss("leave"))
    )
    const grants = yield* makeGrantTable({ control, directory, mapped })
    const events = yield* makeEventChannel({ control, directory, queue, spinMicros: options?.spinMicros ?? defaultSpinMicros })
    return { domid, events, grants }
  }).pipe(
    Effect.mapError((error) => new XenStoreError({ reason: error._tag === "Refused" ? refusalBy(error, `join ${directory.path}`) : error }))
  )
  const socket = yield* NodeSocket.makeNet({ path: directory.store(domid) })
  const store = yield* XenStoreClient.make({ socket, host: directory.path })
  return Context.make(GrantTable, grants).pipe(Context.add(EventChannel, events), Context.add(XenStore, store))
})

const domidFromEnvironment: Effect.Effect<DomId | undefined, XenStoreError> = Effect.suspend(() => {
  const { VCHAN_DOMID } = process.env
  if (!VCHAN_DOMID) return Effect.undefined
  const domid = Number(VCHAN_DOMID)
  if (isDomId(domid)) return Effect.succeed(domid)
  const hint = "it takes a domid, from 0 to 32751, or nothing, for a fresh one"
  return Effect.fail(new XenStoreError({ reason: new SystemRefusal({ call: `reading VCHAN_DOMID=${VCHAN_DOMID}`, code: "EINVAL", hint }) }))
})
