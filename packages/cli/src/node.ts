/**
 * `vchan node`: standard input and output over a vchan, in both directions at once, as Xen's own `vchan-node2` does it
 * (tools/libs/vchan/node-select.c in Xen's sources).
 */
import { Handshake } from "@vchan/vchan"
import { DomId } from "@vchan/xen"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { directory, domain, domid } from "./flags.ts"
import * as Pipe from "./pipe.ts"

const config = {
  directory,
  domid,
  peer: Argument.Int("domid").pipe(Argument.withDescription("The other domain"), Argument.withSchema(DomId)),
  path: Argument.String("path").pipe(Argument.withDescription("Where to meet in XenStore"))
}

const server = Command.make("server", config, (flags) =>
  Handshake.server({ domid: flags.peer, path: flags.path }).pipe(
    Effect.flatMap((server) => server.accept),
    Effect.flatMap(Pipe.join),
    Effect.scoped,
    Effect.provide(domain(flags))
  )).pipe(Command.withDescription("Let one client of that domain connect"))

const client = Command.make("client", config, (flags) =>
  Handshake.client({ domid: flags.peer, path: flags.path }).pipe(
    Effect.flatMap(Pipe.join),
    Effect.scoped,
    Effect.provide(domain(flags))
  )).pipe(Command.withDescription("Connect to that domain's server, waiting up to 5 seconds for one"))

export const node = Command.make("node").pipe(
  Command.withDescription(
    "Standard input and output over a vchan, both ways at once, as Xen's vchan-node2. Ends when the peer is gone, or when standard input has "
      + "ended and the peer has taken all of it: answers to the last bytes are not waited for, since a vchan has no half-close. Where standard "
      + "input is empty from the start, this side only receives."
  ),
  Command.withShortDescription("Standard input and output over a vchan, as Xen's vchan-node2"),
  Command.withSubcommands([server, client]),
  Command.withExamples([
    { command: "vchan node server 7 /local/domain/5/data/pipe --domid 5 </dev/null >copy", description: "Receive a file from domain 7" },
    { command: "vchan node client 5 /local/domain/5/data/pipe --domid 7 <file", description: "Send it" }
  ])
)
