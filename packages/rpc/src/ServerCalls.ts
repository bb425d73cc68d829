/**
 * The calls that one connection's handlers run, and what they take together. Belongs to its engine; empty when the last handler is over.
 */
import { Deferred, Effect } from "effect"
import type { Budget } from "./Assembly.ts"
import type { ServerCall } from "./ServerCall.ts"

export class ServerCalls implements Iterable<ServerCall> {
  /** Those that their callers wait for, by their ids. */
  private readonly attached = new Map<number, ServerCall>()
  /** Those that nobody waits for. */
  private readonly detached = new Set<ServerCall>()
  private readonly budget: Budget
  private readonly empty = Deferred.makeUnsafe<void>()
  private closing = false

  /** What the calls take uses the budget until they are over. */
  constructor(budget: Budget) {
    this.budget = budget
  }

  get size(): number {
    return this.attached.size + this.detached.size
  }

  /** The call of that id that a caller waits for. */
  get(id: number): ServerCall | undefined {
    return this.attached.get(id)
  }

  [Symbol.iterator](): Iterator<ServerCall> {
    return this.attached.values()
  }

  add(call: ServerCall): void {
    this.attached.set(call.id, call)
    this.budget.used += call.charge
  }

  /** Nobody waits for the call any more: its id is free. False where that was so. */
  detach(call: ServerCall): boolean {
    if (!this.attached.delete(call.id)) return false
    this.detached.add(call)
    return true
  }

  /** The call is over. Whether somebody waited for it. */
  remove(call: ServerCall): boolean {
    this.budget.used -= call.charge
    if (this.detached.size > 0 && this.detached.delete(call)) return false
    this.attached.delete(call.id)
    return true
  }

  interrupt(): void {
    for (const call of [...this.attached.values(), ...this.detached]) call.interrupt()
  }

  /** Nobody is there any more to hear of them. */
  abandon(): void {
    for (const call of [...this.attached.values(), ...this.detached]) call.abandon()
  }

  /** Waits until the last call is over. None may be added any more. */
  readonly drained: Effect.Effect<void> = Effect.suspend(() => {
    this.closing = true
    this.settle()
    return Deferred.await(this.empty)
  })

  /** Tells who waits for the last call, once it has been answered. */
  settle(): void {
    if (this.closing && this.size === 0) Deferred.doneUnsafe(this.empty, Effect.void)
  }
}
