/**
 * Prints the services of a domain, for `vchan services`. Owns nothing.
 */
import { Discovery } from "@vchan/rpc"
import { type DomId, ownDomid, printable } from "@vchan/xen"
import { Console, type Duration, Effect, Option, Result } from "effect"
import { renderMethod, visible } from "./renderShape.ts"

const lines = ({ methods, service }: Discovery.Discovered): ReadonlyArray<string> =>
  Result.match(methods, {
    onFailure: ({ reason }) => [`${service} does not answer: ${printable(reason.message)}`],
    onSuccess: (methods) => [service, ...methods.map(({ name, shapes }) => `  ${renderMethod(name, shapes)}`)]
  })

const json = ({ methods, service }: Discovery.Discovered): unknown =>
  Result.match(methods, {
    onFailure: ({ message, reason }) => ({ service, error: { reason: reason._tag, message } }),
    onSuccess: (methods) => ({ service, methods: methods.map(({ name, shapes }) => ({ name, ...shapes })) })
  })

export const list = Effect.fnUntraced(function*(flags: {
  readonly domain: DomId
  readonly timeout: Option.Option<Duration.Duration>
  readonly json: boolean
}) {
  const found = yield* Discovery.services({ domain: flags.domain, timeout: Option.getOrUndefined(flags.timeout) })
  if (flags.json) return yield* Console.log(visible(JSON.stringify(found.map(json), undefined, 2)))
  if (found.length === 0) {
    const own = yield* ownDomid
    return yield* Console.error(
      own === flags.domain
        ? `this is domain ${own} itself, and services are for other domains: list them from another one`
        : `domain ${flags.domain} announces no service to this domain, ${own}`
    )
  }
  for (const service of found) yield* Console.log(lines(service).join("\n"))
})
