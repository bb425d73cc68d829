/**
 * What a side has in place of a backend and of Node's event loop: a port, and fibers that run when they are told to.
 */
import type { Port, PortListener } from "@vchan/xen"
import { Effect, type Fiber, Scheduler } from "effect"
import type { Environment } from "./access.ts"

/** A port, and whether it is awake: as after an event, or after `expectUnsafe`. */
export interface FakePort extends Port {
  awake: boolean
  readonly listener: () => PortListener | undefined
}

export const fakePort = (environment: Environment): FakePort => {
  let listener: PortListener | undefined
  const port: FakePort = {
    port: 1,
    awake: false,
    listener: () => listener,
    notifyUnsafe: environment.notify,
    listenUnsafe: (next) => {
      listener = next
    },
    expectUnsafe: () => {
      port.awake = true
    }
  }
  return port
}

export interface Fibers {
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Runs all fibers until each has ended, or waits for the peer. */
  readonly settle: () => void
}

export const fibers = (environment: Environment): Fibers => {
  const tasks: Array<() => void> = []
  const scheduler = new Scheduler.MixedScheduler("async", (task) => {
    tasks.push(task)
    return () => {}
  })
  return {
    fork: (effect) => Effect.runFork(effect, { scheduler }),
    settle: () => {
      environment.drain()
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
        task()
        environment.drain()
      }
    }
  }
}
