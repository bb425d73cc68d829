/**
 * The limits that honest sides set in scenarios, and what docs/RPC.md says that a peer can make them keep by those. Plain data.
 */
export const limits = { maxMessage: 128 * 1024, maxCalls: 8, memory: 256 * 1024, maxHeaders: 1024, window: 4096, highWater: 64 * 1024 }

/** What a byte of JSON takes at most as a value: an empty array or object is two bytes and a comma. */
const valuePerByte = 24

/** Bytes of buffers that a connection keeps for its next long messages, and of the slabs that it reads and writes frames in. */
const buffers = 1024 * 1024 + 2 * 256 * 1024

/** A chunk of a stream, and the fiber and what else there is of a call whose handler holds nothing. */
const perCall = 16 * 1024 + 8 * 1024

/** The most bytes that one connection's peer can make a server of the contract keep. */
export const mostKept = ({ highWater, maxCalls, memory }: Pick<typeof limits, "highWater" | "maxCalls" | "memory">): number =>
  // Payloads, as bytes first and as values then; long replies; short ones.
  memory * valuePerByte + memory + highWater + maxCalls * perCall + buffers
