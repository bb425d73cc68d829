/**
 * The event channels of a process of an emulated host: the host binds ports, and events go through the shared port table and FIFOs.
 */
import { type EventChannel, EventChannelError, NoSuchPort, PortsExhausted, type SystemRefusal } from "@vchan/xen"
import { Effect, type Scope } from "effect"
import { type ControlClient, refusalBy } from "./ControlClient.ts"
import { EventQueue } from "./EventQueue.ts"
import { EventWriter } from "./EventWriter.ts"
import { mapPages, openPages } from "./Mapping.ts"
import { PortTable } from "./PortTable.ts"
import type { RunDirectory } from "./RunDirectory.ts"
import { checkSpin } from "./Spin.ts"
import { systemCall } from "./systemCall.ts"

/** The event channels of the process with this queue. */
export const makeEventChannel = Effect.fnUntraced(function*(options: {
  readonly control: ControlClient
  readonly directory: RunDirectory
  readonly queue: number
  readonly spinMicros: number
}): Effect.fn.Return<EventChannel["Service"], SystemRefusal, Scope.Scope> {
  const { control, directory, spinMicros } = options
  yield* checkSpin(spinMicros)
  const file = yield* openPages(directory.ports)
  const references = Array.from({ length: file.pages }, (_, page) => page)
  const table = new PortTable((yield* mapPages({ file, references, writable: true })).buffer)
  const fifo = directory.queue(options.queue)
  const events = yield* Effect.acquireRelease(
    systemCall(
      `open ${fifo}`,
      "join the host again",
      () => new EventQueue({ fifo, table, writer: new EventWriter(directory), spinMicros })
    ),
    (events) => Effect.sync(() => events.end())
  )

  const bind = (operation: string, ...words: ReadonlyArray<number>) =>
    Effect.acquireRelease(
      Effect.map(control.ask(operation, ...words), ([port]) => events.open(Number(port))),
      ({ port }) => Effect.andThen(Effect.sync(() => events.close(port)), control.dismiss("unbind", port))
    )

  return {
    bindUnbound: (domid) =>
      bind("bind-unbound", domid).pipe(
        Effect.catchTag("Refused", (refused) =>
          Effect.fail(
            refused.code === "PortsExhausted"
              ? new PortsExhausted({ limit: refused.number })
              : refusalBy(refused, `bind a port for domain ${domid}`)
          )),
        Effect.mapError((reason) => new EventChannelError({ reason }))
      ),
    bindInterdomain: (domid, port) =>
      bind("bind-interdomain", domid, port).pipe(
        Effect.catchTag("Refused", (refused) =>
          Effect.fail(
            refused.code === "NoSuchPort"
              ? new NoSuchPort({ domid, port })
              : refused.code === "PortsExhausted"
              ? new PortsExhausted({ limit: refused.number })
              : refusalBy(refused, `bind to port ${port} of domain ${domid}`)
          )),
        Effect.mapError((reason) => new EventChannelError({ reason }))
      )
  }
})
