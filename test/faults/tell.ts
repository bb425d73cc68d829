/**
 * A word from a test's process to its parent, over Node's own channel where there is one, else on standard output.
 */
import { Console, Effect } from "effect"

export const tell = (word: string): Effect.Effect<void> =>
  process.send === undefined ? Console.log(word) : Effect.callback((resume) => {
    process.send?.(word, () => resume(Effect.void))
  })
