/** What the service does. It knows no transport: the guest serves it over a vchan, and the test over HTTP. */
import { Console, Effect, Exit, Stream } from "effect"
import { NotPositive, Primes } from "./contract.ts"

const factors = (n: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  let rest = n
  for (let factor = 2; factor * factor <= rest; factor++) {
    for (; rest % factor === 0; rest /= factor) found.push(factor)
  }
  return rest > 1 ? [...found, rest] : found
}

export const PrimesHandlers = Primes.toLayer({
  Factor: ({ n }) => n > 0 ? Effect.succeed(factors(n)) : Effect.fail(new NotPositive({ n })),
  Between: ({ from, to }) =>
    Stream.range(Math.max(from, 2), to, 64).pipe(
      Stream.filter((n) => factors(n).length === 1),
      Stream.onExit((exit) => Exit.hasInterrupts(exit) ? Console.log("nobody wants more primes") : Effect.void)
    )
})
