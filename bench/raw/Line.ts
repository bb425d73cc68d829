/**
 * Bytes both ways between two processes, whatever carries them: what the raw loads need, and no more.
 */

/** A way for bytes. */
export interface Line {
  /** Hands bytes on, in the order of the calls. False where no more should come before `onRoom`: until then the bytes must stay as they are. */
  readonly send: (bytes: Uint8Array) => boolean
  onRoom: () => void
  /** Bytes came, in any cuts; theirs for the call only. */
  onBytes: (bytes: Uint8Array) => void
}

/** Makes lines of a transport. */
export interface Transport {
  /** Serves each line that comes, and says when some may come. */
  readonly serve: (serve: (line: Line) => void, address: string, ready: () => void) => void
  readonly connect: (address: string) => Promise<Line>
}

const nothing = (): void => {}

/** How many bytes and messages may be under way where a transport would queue any number. */
const window = { bytes: 4 * 1024 * 1024, messages: 1024 }

/** A line over what sends whole messages and queues them without a limit: the receiver tells what it has taken, now and then. */
export const messageLine = (post: (message: Uint8Array | number) => void): {
  readonly line: Line
  readonly take: (message: unknown) => void
} => {
  const line: Line = { send, onRoom: nothing, onBytes: nothing }
  const way = { bytes: 0, messages: 0, waiting: false }
  const taken = { bytes: 0, messages: 0 }
  function send(bytes: Uint8Array): boolean {
    post(bytes)
    way.bytes += bytes.length
    way.messages++
    way.waiting = way.bytes > window.bytes || way.messages > window.messages
    return !way.waiting
  }
  return {
    line,
    take: (message) => {
      if (typeof message === "number") {
        way.bytes -= message
        way.messages = 0
        if (way.waiting) {
          way.waiting = false
          line.onRoom()
        }
      } else if (message instanceof Uint8Array) {
        taken.bytes += message.length
        if (taken.bytes >= window.bytes / 2 || ++taken.messages >= window.messages / 2) {
          post(taken.bytes)
          taken.bytes = 0
          taken.messages = 0
        }
        line.onBytes(message)
      }
    }
  }
}
