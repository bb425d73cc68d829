/**
 * A word from a test's process to its parent, over Node's own channel.
 */
import { Effect } from "effect"

export const tell = (word: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.send === undefined) return resume(Effect.void)
    process.send(word, () => resume(Effect.void))
  })
