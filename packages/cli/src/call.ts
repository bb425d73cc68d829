/**
 * `vchan call`: one call of a service in another domain, without the service's code.
 */
import { DomId } from "@vchan/xen"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { directory, domain, domid, timeout } from "./flags.ts"

export const call = Command.make("call", {
  directory,
  domid,
  timeout: timeout("How long the call may take; as long as it likes where not given"),
  header: Flag.KeyValuePair("header").pipe(
    Flag.withAlias("H"),
    Flag.withDescription("A header of the call, as name=value; may be given several times"),
    Flag.withDefault({})
  ),
  domain: Argument.Int("domid").pipe(Argument.withDescription("The domain that serves"), Argument.withSchema(DomId)),
  method: Argument.String("service.method").pipe(Argument.withDescription("What to call, as `vchan services` tells it")),
  payload: Argument.String("json").pipe(
    Argument.withDescription("What the method takes, as JSON; - reads it from standard input, and a method that takes nothing needs none"),
    Argument.withDefault("null")
  )
}, (flags) =>
  Effect.promise(() => import("./callMethod.ts")).pipe(
    // Loaded by those who need it: the other commands start without an RPC engine.
    Effect.flatMap(({ callMethod }) => callMethod(flags)),
    Effect.provide(domain(flags))
  )).pipe(
    Command.withDescription(
      "Call a method of a service in another domain. The payload is JSON, checked against what the service tells of the method before it is sent; "
        + "bytes are Base64. Where the method takes a stream, standard input brings its items, a line of JSON each. The value is printed as JSON on standard output, a stream's items as they come, one a line. "
        + "Exit codes: 0 done; 1 bad arguments, a payload that does not fit, or no host; 2 the method failed, its error as JSON on standard error; "
        + "3 the call was refused; 4 the deadline was exceeded; 5 there is no connection, or no longer; 6 the handler died."
    ),
    Command.withShortDescription("Call a service in another domain, with JSON"),
    Command.withExamples([
      { command: `vchan call 5 echo.Say '{"text":"hello"}'`, description: "One call" },
      { command: `vchan call 5 echo.Count '{"to":3}' --timeout "2 seconds"`, description: "A stream, for two seconds at most" },
      { command: `seq 100 | vchan call 5 sums.Sum`, description: "A stream for the method to take" }
    ])
  )
