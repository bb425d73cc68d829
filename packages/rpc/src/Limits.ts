/**
 * What one side takes from the other. Each side tells its own limits in its Hello and holds the other to them. Plain data.
 */
import { Schema } from "effect"

/** One side's limits. */
export const Limits = Schema.Struct({
  /** The most bytes a frame's body may have that is sent to this side. */
  maxFrame: Schema.Int.check(Schema.isBetween({ minimum: 1024, maximum: 256 * 1024 * 1024 })),
  /** How many calls this side serves at once on one connection. */
  maxCalls: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 0xFFFF_FFFF })),
  /** The bytes of a stream's items that this side takes before its consumer has taken some. */
  window: Schema.Int.check(Schema.isBetween({ minimum: 1024, maximum: 256 * 1024 * 1024 }))
})

/** One side's limits. */
export type Limits = typeof Limits.Type

/** Limits as a user gives them: what is left out is 1 MiB a frame, 1024 calls, 256 KiB of a stream. */
export interface LimitOptions {
  readonly maxFrame?: number | undefined
  readonly maxCalls?: number | undefined
  readonly window?: number | undefined
}

/** Fills the defaults in. Throws where a limit is out of its range. */
export const limitsFrom = (options: LimitOptions): Limits =>
  Limits.make({
    maxFrame: options.maxFrame ?? 1024 * 1024,
    maxCalls: options.maxCalls ?? 1024,
    window: options.window ?? 256 * 1024
  })
