/**
 * `vchan echo`: a vchan server that writes back what it reads, for one client after the other.
 */
import { Handshake } from "@vchan/vchan"
import { DomId, ownDomid } from "@vchan/xen"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { directory, domain, domid } from "./flags.ts"
import * as Pipe from "./pipe.ts"
import { untilStopped } from "./untilStopped.ts"

const ring = (name: string, use: string) =>
  Flag.Int(name).pipe(
    Flag.withDescription(`The least size in bytes of the ring that the server ${use}, at most 1 MiB; 256 KiB where not given`),
    Flag.withMetavar("bytes"),
    Flag.optional
  )

export const echo = Command.make("echo", {
  directory,
  domid,
  peer: Flag.Int("peer").pipe(
    Flag.withDescription("The domain that may connect, 0 where not given: a vchan server serves one"),
    Flag.withSchema(DomId),
    Flag.withDefault(0)
  ),
  path: Flag.String("path").pipe(
    Flag.withDescription("Where to meet in XenStore; else /local/domain/<own domid>/data/vchan"),
    Flag.optional
  ),
  left: ring("left", "reads"),
  right: ring("right", "writes"),
  once: Flag.Boolean("once").pipe(Flag.withDescription("End when the first client has gone"), Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    const own = yield* ownDomid
    const offered = Effect.gen(function*() {
      const server = yield* Handshake.server({
        domid: flags.peer,
        path: Option.getOrElse(flags.path, () => `/local/domain/${own}/data/vchan`),
        leftMin: Option.getOrUndefined(flags.left),
        rightMin: Option.getOrUndefined(flags.right)
      })
      yield* Console.error(`domain ${own} answers domain ${server.domid} at ${server.path}`)
      const serve = Effect.gen(function*() {
        const client = yield* server.accept
        yield* Console.error(`domain ${client.peer} came`)
        yield* Pipe.echo(client)
        yield* Console.error(`domain ${client.peer} left`)
      }).pipe(Effect.scoped)
      // One bad client does not take the server from the next.
      const goOn = Effect.catchReason(serve, "VchanError", "RingCorrupt", (_, error) => Console.error(error.message))
      yield* flags.once ? serve : Effect.forever(goOn)
    }).pipe(Effect.scoped)
    // A domain that is gone may come again under its domid, and needs rings of its own then.
    const anew = Effect.catchReason(offered, "VchanError", "DomainGone", (_, error) => Console.error(error.message))
    yield* flags.once ? offered : Effect.forever(anew)
  }).pipe(Effect.provide(domain(flags)), untilStopped)).pipe(
    Command.withDescription(
      "Answer every byte, as a vchan server. Clients come one after the other; each coming and going is told on standard error."
    ),
    Command.withShortDescription("Answer every byte, as a vchan server"),
    Command.withExamples([{ command: "vchan echo --domid 5 --peer 0", description: "Serve domain 0 at /local/domain/5/data/vchan" }])
  )
