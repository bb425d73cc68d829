/** Who comes in: those who send the bearer token. The one place that decides it, before anything else of a request is looked at. */
import { Config, Effect, Redacted } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash, timingSafeEqual } from "node:crypto"

const digest = (text: string) => createHash("sha256").update(text).digest()

/** Without a GATEWAY_TOKEN in the environment there is no gateway. */
export const Door = HttpRouter.middleware(
  Effect.gen(function*() {
    const token = yield* Config.Redacted("GATEWAY_TOKEN")
    const expected = digest(`Bearer ${Redacted.value(token)}`)
    return (response) =>
      Effect.gen(function*() {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        // Digests have one length, and comparing them takes one time.
        const admitted = timingSafeEqual(digest(headers["authorization"] ?? ""), expected)
        return admitted ? yield* response : HttpServerResponse.empty({ status: 401 })
      })
  }),
  { global: true }
)
