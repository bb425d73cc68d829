/**
 * A store as the steps see it, whoever it is.
 */
export interface Store {
  /** What the store answers: an errno's name, or the texts of the answer with a space between. */
  readonly ask: (client: number, asked: string, texts: ReadonlyArray<string>, transaction: number) => string | Promise<string>
  /** The events that each client got since the last time: path and token. */
  readonly takeEvents: () => ReadonlyArray<ReadonlyArray<string>> | Promise<ReadonlyArray<ReadonlyArray<string>>>
  /** The visitor comes where it is not there, and goes where it is. */
  readonly visit: () => void | Promise<void>
}
