/**
 * Prints the services of a domain, for `vchan services`. Owns nothing.
 */
import { Discovery } from "@vchan/rpc"
import { type DomId, ownDomid } from "@vchan/xen"
import { Console, type Duration, Effect, Option, Result } from "effect"
import { printable, renderMethod } from "./renderShape.ts"

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
  if (flags.json) return yield* Console.log(printable(JSON.stringify(found.map(json), undefined, 2)))
  if (found.length === 0) return yield* Console.error(`domain ${flags.domain} announces no service to this domain, ${yield* ownDomid}`)
  for (const service of found) yield* Console.log(lines(service).join("\n"))
})
