/**
 * The client's half of middlewares: what `RpcMiddleware.layerClient` provides runs around each call of the methods that have one, and costs the
 * others nothing. Owns nothing.
 *
 * What `next` gives a half is the call itself: of a unary method it is done when the call is over, so a half may look at its errors and call again;
 * of a stream when it may be pulled, which is what makes the call.
 */
import { Context, Effect, Stream } from "effect"
import { Headers } from "effect/http"
import { type Rpc, RpcClient, RpcMessage } from "effect/rpc"
import type { CallOptions, Calls, Method } from "./Contract.ts"

/** A call as its halves see it, and may change it. */
interface Request {
  readonly _tag: "Request"
  /** Of this client alone: it does not travel. */
  readonly id: RpcMessage.RequestId
  readonly tag: string
  readonly payload: unknown
  readonly headers: Headers.Headers
  readonly discard?: true
}

/** Effect's `RpcMiddlewareClient` with all that it needs. */
type Half = (options: {
  readonly rpc: Rpc.AnyWithProps
  readonly request: Request
  readonly next: (request: Request) => Effect.Effect<unknown, unknown>
}) => Effect.Effect<unknown, unknown>

/** The halves of an Rpc's middlewares. Throws where one is required and not provided. */
export const halvesOf = (rpc: Rpc.AnyWithProps, services: Context.Context<never>): ReadonlyArray<Half> =>
  Array.from(rpc.middlewares).flatMap(({ key, requiredForClient }) => {
    const half: Half | undefined = services.mapUnsafe.get(`${key}/Client`)
    if (half === undefined && requiredForClient) throw new Error(`its middleware ${key} has no client's half here: provide its layerClient`)
    return half === undefined ? [] : [half]
  })

/** The calls of a method with the halves around them: the one that the Rpc got last is the outermost, as in Effect. */
export const withHalves = <E>(calls: Calls<E>, rpc: Rpc.AnyWithProps, halves: ReadonlyArray<Half>): Calls<E> => {
  let lastId = 0
  const around = (
    method: Method,
    input: unknown,
    { headers, ...options }: CallOptions,
    send: (request: Request, options: CallOptions) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<unknown, E> => {
    const next = (request: Request, index: number): Effect.Effect<unknown, unknown> => {
      const half = halves[index]
      return half === undefined ? send(request, options) : half({ rpc, request, next: (request) => next(request, index - 1) })
    }
    return Effect.withFiber(({ context }) => {
      const request: Request = {
        _tag: "Request",
        id: RpcMessage.RequestId(++lastId),
        tag: method.name,
        payload: method.makePayload(input),
        headers: Headers.merge(Context.get(context, RpcClient.CurrentHeaders), Headers.fromInput(headers)),
        ...(options.discard === true ? { discard: true } : {})
      }
      // What a half fails with is an error of its own or of the call, which the client object's type tells.
      return next(request, halves.length - 1) as Effect.Effect<unknown, E>
    })
  }
  return {
    unary: (method, input, options) =>
      around(
        method,
        input,
        options,
        ({ headers, payload }, options) => Effect.provideService(calls.unary(method, payload, options), RpcClient.CurrentHeaders, headers)
      ),
    stream: (method, input, options) => {
      const opened = around(
        method,
        input,
        options,
        ({ headers, payload }, options) =>
          Effect.succeed(Stream.provideService(calls.stream(method, payload, options), RpcClient.CurrentHeaders, headers))
      )
      // A half cannot make a value of its own: it gives what `next` gave.
      return Stream.unwrap(Effect.map(opened, (items) => Stream.isStream(items) ? items as Stream.Stream<unknown, E> : Stream.empty))
    }
  }
}
