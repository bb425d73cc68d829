/**
 * What one side takes from the other. Each side tells its own limits in its Hello and holds the other to them. Plain data.
 */
import { Schema } from "effect"

/** One side's limits. */
export const Limits = Schema.Struct({
  /** The most bytes of one payload, reply or item that is sent to this side, with its envelope. */
  maxMessage: Schema.Int.check(Schema.isBetween({ minimum: 1024, maximum: 1024 * 1024 * 1024 })),
  /** How many calls this side serves at once on one connection. */
  maxCalls: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 0xFFFF_FFFF })),
  /** The bytes of a stream's items that this side takes before its consumer has taken some. */
  window: Schema.Int.check(Schema.isBetween({ minimum: 1024, maximum: 256 * 1024 * 1024 })),
  /** The most bytes that the headers of a call may take that is made to this side. */
  maxHeaders: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 * 1024 })),
  /**
   * The bytes that the peer's messages may take here in all: those that come in segments, until they are whole, and on a server the payloads
   * of the calls in flight and, for each stream in them, 5/4 of the window.
   */
  memory: Schema.Int.check(Schema.isBetween({ minimum: 1024, maximum: 0xFFFF_FFFF }))
}).check(Schema.makeFilter(({ maxMessage, memory }) => maxMessage <= memory || "memory is less than maxMessage"))

/** One side's limits. */
export type Limits = typeof Limits.Type

/** Limits as a user gives them: what is left out is 4 MiB a message, 1024 calls, 256 KiB of a stream, 8 KiB of headers, 16 MiB of memory. */
export interface LimitOptions {
  readonly maxMessage?: number | undefined
  readonly maxCalls?: number | undefined
  readonly window?: number | undefined
  readonly maxHeaders?: number | undefined
  readonly memory?: number | undefined
}

/** Fills the defaults in. Throws where a limit is out of its range. */
export const limitsFrom = (options: LimitOptions): Limits =>
  Limits.make({
    maxMessage: options.maxMessage ?? 4 * 1024 * 1024,
    maxCalls: options.maxCalls ?? 1024,
    window: options.window ?? 256 * 1024,
    maxHeaders: options.maxHeaders ?? 8 * 1024,
    // One message must always fit.
    memory: options.memory ?? Math.max(16 * 1024 * 1024, options.maxMessage ?? 0)
  })
