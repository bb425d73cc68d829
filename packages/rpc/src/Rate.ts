/**
 * Rate: how many calls each client domain may make in a time, over all its connections. Belongs to its server; a domain that was ever heard
 * of leaves a few numbers behind.
 *
 * A token bucket: a domain that has been quiet may make all its calls at once, and then one more for each part of the time that has passed.
 */
import type { DomId } from "@vchan/xen"
import { Duration } from "effect"
import { RateExceeded } from "./RpcError.ts"

/** How many calls a domain may make in how long a time. */
export interface RateOptions {
  readonly calls: number
  readonly per: Duration.Input
}

/** What one domain may still ask for. */
export class Bucket {
  readonly calls: number
  readonly perMillis: number
  private tokens: number
  private seen = performance.now()

  constructor(calls: number, perMillis: number) {
    this.calls = calls
    this.perMillis = perMillis
    this.tokens = calls
  }

  /** Takes one call, or tells when one may be made. */
  take(): RateExceeded | undefined {
    const now = performance.now()
    const { calls, perMillis } = this
    this.tokens = Math.min(calls, this.tokens + (now - this.seen) * calls / perMillis)
    this.seen = now
    if (this.tokens < 1) return new RateExceeded({ calls, perMillis, retryMillis: (1 - this.tokens) * perMillis / calls })
    this.tokens--
    return undefined
  }
}

export class Rate {
  private readonly calls: number
  private readonly perMillis: number
  private readonly buckets = new Map<DomId, Bucket>()

  /** Throws RangeError for less than one call, or no time at all. */
  constructor({ calls, per }: RateOptions) {
    this.calls = calls
    this.perMillis = Duration.toMillis(per)
    if (!(calls >= 1 && this.perMillis > 0 && Number.isFinite(calls / this.perMillis))) {
      throw new RangeError("a rate is at least one call in some time: leave it out for none")
    }
  }

  /** That of a domain, the same for all its connections. */
  of(domid: DomId): Bucket {
    let bucket = this.buckets.get(domid)
    if (bucket === undefined) this.buckets.set(domid, bucket = new Bucket(this.calls, this.perMillis))
    return bucket
  }
}
