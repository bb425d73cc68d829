/**
 * The measured process's end of {@link Agent}: says "ready", answers each line of standard input with one, and ends with standard input.
 */
import * as readline from "node:readline"
import { setTimeout } from "node:timers/promises"

/** Loads by their names. Each runs once with the numbers of its line, and gives numbers: first the seconds that it took. */
export type Loads = { readonly [name: string]: (...numbers: ReadonlyArray<number>) => Promise<ReadonlyArray<number>> }

/** Answers until standard input ends; lines wait for each other. */
export const answer = (loads: Loads): void => {
  let last = Promise.resolve()
  const lines = readline.createInterface({ input: process.stdin })
  lines.on("line", (line) => {
    const [name = "", ...words] = line.split(" ")
    const load = loads[name] ?? (() => Promise.reject(new Error(`there is no load ${name}`)))
    last = last.then(() => load(...words.map(Number))).then(
      (numbers) => console.log(["ok", ...numbers].join(" ")),
      (cause: unknown) => console.log(`failed ${String(cause).replaceAll("\n", " ")}`)
    )
  })
  lines.on("close", () => process.exit(0))
  console.log("ready")
}

/** Dies where an answer is not what it has to be. */
export const check = (right: boolean, what: string): void => {
  if (!right) throw new Error(`${what} is wrong`)
}

/** The middle one. */
export const median = (values: Float64Array): number => values.toSorted()[values.length >> 1] ?? Number.NaN

/** Seconds from a time that `performance.now` told. */
export const secondsSince = (start: number): number => (performance.now() - start) / 1000

/** What this process has used: `cpu` since its start, in seconds; `memory` that it holds, in bytes, what it maps among it. */
export const own: Loads = {
  cpu: () => {
    const { system, user } = process.cpuUsage()
    return Promise.resolve([(user + system) / 1e6])
  },
  memory: async () => {
    // What a first collection lets go of outside of the heap is freed after it.
    for (let left = 3; left > 0; left--) {
      globalThis.gc?.()
      await setTimeout(100)
    }
    const { external, heapUsed } = process.memoryUsage()
    return [heapUsed + external]
  }
}
