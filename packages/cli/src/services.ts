/**
 * `vchan services`: what another domain serves to this one.
 */
import { DomId } from "@vchan/xen"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { directory, domain, domid, timeout } from "./flags.ts"

export const services = Command.make("services", {
  directory,
  domid,
  timeout: timeout("How long each service may take to answer, 5 seconds where not given"),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON: the services with their methods and shapes"), Flag.withDefault(false)),
  domain: Argument.Int("domid").pipe(Argument.withDescription("The domain that serves"), Argument.withSchema(DomId))
}, (flags) =>
  Effect.promise(() => import("./list.ts")).pipe(
    // Loaded by those who need it: the other commands start without an RPC engine.
    Effect.flatMap(({ list }) => list(flags)),
    Effect.provide(domain(flags))
  )).pipe(
    Command.withDescription(
      "List the services that a domain announces to this one, each with its methods, what they take and what they give. Each service is asked itself; one that "
        + "does not answer is listed as such."
    ),
    Command.withShortDescription("List the services of a domain, with their methods and schemas"),
    Command.withExamples([{ command: "vchan services 5", description: "What this domain may call in domain 5" }])
  )
