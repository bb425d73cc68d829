/**
 * A process that does as its parent says: `host <directory>` serves a host, `domain <directory> [<domid>]` joins one and carries out
 * commands that come over Node's channel between parent and child.
 */
import { EventChannel, GrantTable, ownDomid, type Port, type SharedPages, XenStore } from "@vchan/xen"
import { EmulatedXen, HostServer } from "@vchan/xen-linux"
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import type { Command, Reply } from "./remote.ts"

const [role, directory = "", domid] = process.argv.slice(2)
const send = (reply: Reply): void => {
  if (process.connected) process.send?.(reply)
}

const host = HostServer.make({ directory }).pipe(
  Effect.tap(() => Effect.sync(() => send({ _tag: "Ready", domid: 0 }))),
  Effect.andThen(Effect.never),
  Effect.scoped
)

const domain = Effect.gen(function*() {
  const layerScope = yield* Scope.make()
  const xen = yield* Layer.build(EmulatedXen.layer({ directory, domid: domid === undefined ? undefined : Number(domid) })).pipe(
    Scope.provide(layerScope)
  )
  const grants = Context.get(xen, GrantTable)
  const events = Context.get(xen, EventChannel)
  const store = Context.get(xen, XenStore)
  const pages: Array<SharedPages> = []
  const ports = new Map<number, Port>()
  const held = yield* Scope.fork(layerScope)

  const bound = (port: Port) => {
    ports.set(port.port, port)
    port.listenUnsafe({
      look: () => {
        send({ _tag: "Event", port: port.port })
        return false
      },
      arm: () => false
    })
    return port.port
  }

  const keep = (made: SharedPages) => ({ index: pages.push(made) - 1, references: made.references })

  const perform = (command: Command): Effect.Effect<unknown, { readonly reason: { readonly _tag: string } }, Scope.Scope> => {
    switch (command._tag) {
      case "Share":
        return Effect.map(grants.share(command), keep)
      case "Map":
        return Effect.map(grants.map(command), keep)
      case "BindUnbound":
        return Effect.map(events.bindUnbound(command.domid), bound)
      case "BindInterdomain":
        return Effect.map(events.bindInterdomain(command.domid, command.port), bound)
      case "Notify":
        return Effect.sync(() => ports.get(command.port)?.notifyUnsafe())
      case "Read":
        return Effect.sync(() => new Uint8Array(pages[command.index]?.buffer ?? new ArrayBuffer(0))[command.offset])
      case "Write":
        return Effect.sync(() =>
          void new Uint8Array(pages[command.index]?.buffer ?? new ArrayBuffer(0)).fill(command.value, command.offset, command.offset + 1)
        )
      case "StoreWrite":
        return store.write(command.path, "written")
      case "StoreWatch":
        return Effect.forkScoped(
          Stream.runForEach(store.watch(command.path), (path) => Effect.sync(() => send({ _tag: "Watch", path }))).pipe(
            Effect.catch((error) => Effect.sync(() => send({ _tag: "WatchFailed", reason: error.reason._tag, message: error.message })))
          )
        )
      case "StoreTransaction":
        return Effect.forkScoped(store.transaction((inside) => Effect.andThen(inside.write("data/pending", ""), Effect.never)))
      case "Close":
        return Effect.sync(() => {
          process.disconnect?.()
          Effect.runFork(Scope.close(layerScope, Exit.void))
        })
    }
  }

  process.on("message", ({ command, id }: { readonly id: number; readonly command: Command }) => {
    Effect.runFork(
      perform(command).pipe(
        Scope.provide(held),
        Effect.match({
          onFailure: (error) => send({ _tag: "Failed", id, reason: error.reason._tag, message: String(error) }),
          onSuccess: (value) => send({ _tag: "Done", id, value: command._tag.startsWith("Store") ? undefined : value })
        })
      )
    )
  })
  send({ _tag: "Ready", domid: yield* ownDomid.pipe(Effect.provide(xen)) })
})

if (role === "host") Effect.runFork(host)
else Effect.runFork(domain)
