/**
 * The raw loads over a {@link Line}, and who serves them; raw.c has the same.
 *
 * Each begins with a header of 16 bytes: u32 mode, u32 size of a message, u64 of bytes in all; and ends with an answer of 8: u32 of bytes
 * taken, u32 of their CRC-32, which is 0 unless the mode says that it is to be checked.
 */
import { crc32 } from "node:zlib"
import { check, type Loads, median } from "../answer.ts"
import type { Line } from "./Line.ts"

/** What a server has to do; `checked` is added where the bytes are to be summed. */
export const mode = { echo: 1, sink: 2, both: 3, checked: 256 } as const

/** The largest message. */
const longest = 1 << 20

/** What all messages are the beginning of. */
export const pattern = new Uint8Array(longest)
for (let state = 2463534242, at = 0; at < longest; at++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  pattern[at] = state >>> 24
}

/** Sends `total` bytes by messages, as the line has room. */
const sendAll = (line: Line, message: Uint8Array, total: number): Promise<void> =>
  new Promise((done) => {
    let left = total
    line.onRoom = () => {
      while (left > 0) {
        left -= message.length
        if (!line.send(message)) return
      }
      line.onRoom = () => {}
      done()
    }
    line.onRoom()
  })

/** Some u32. */
export const words = (...numbers: ReadonlyArray<number>) => Buffer.from(Uint32Array.from(numbers).buffer)

/** What a load begins with. */
export const header = (kind: number, size: number, total: number): Buffer => {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(kind, 0)
  bytes.writeUInt32LE(size, 4)
  bytes.writeBigUInt64LE(BigInt(total), 8)
  return bytes
}

/** The loads, by the name that they are asked for by. */
export const loadsBy = (run: (kind: number, size: number, count: number) => Promise<ReadonlyArray<number>>): Loads =>
  Object.fromEntries(
    [["rtt", mode.echo], ["stream", mode.sink], ["both", mode.both]].flatMap(([name, kind]) =>
      [["", 0], ["-checked", mode.checked]].map(([suffix, more]) => [
        `${name}${suffix}`,
        (size = 0, count = 0) => run(Number(kind) | Number(more), size, count)
      ])
    )
  )

/** Serves one line. */
export const serve = (line: Line): void => {
  let head = Buffer.alloc(0)
  let kind = 0
  let left = 0
  let crc = 0
  let sent = Promise.resolve()
  const begin = (header: Buffer) => {
    kind = header.readUInt32LE(0)
    left = Number(header.readBigUInt64LE(8))
    crc = 0
    head = Buffer.alloc(0)
    sent = (kind & 255) === mode.both ? sendAll(line, pattern.slice(0, header.readUInt32LE(4)), left) : Promise.resolve()
    const answer = left
    return () => sent.then(() => line.send(words(answer % 2 ** 32, crc)))
  }
  let finish = () => sent.then(() => true)
  line.onBytes = (bytes) => {
    if (left === 0) {
      head = Buffer.concat([head, bytes])
      if (head.length < 16) return
      const rest = head.subarray(16)
      finish = begin(head)
      if (rest.length > 0) line.onBytes(rest)
      return
    }
    if ((kind & mode.checked) !== 0) crc = crc32(bytes, crc)
    left -= bytes.length
    if ((kind & 255) === mode.echo) line.send(bytes)
    if (left === 0) void finish()
  }
}

/** Runs the loads over one line. */
export const loadsOver = (line: Line): Loads => {
  const run = async (kind: number, size: number, count: number) => {
    // A buffer of its own: a clone of a view would take the whole pattern along.
    const message = pattern.slice(0, size)
    const total = size * count
    const times = new Float64Array((kind & 255) === mode.echo ? count : 0)
    const isChecked = (kind & mode.checked) !== 0
    const back = (kind & 255) === mode.sink ? 0 : total
    const answer = Buffer.alloc(8)
    let taken = 0
    let crc = 0
    const start = performance.now()
    let last = start
    let round = 0
    const finished = new Promise<void>((done) => {
      line.onBytes = (bytes) => {
        const body = Math.min(bytes.length, back - taken)
        if (isChecked && body > 0) crc = crc32(body === bytes.length ? bytes : bytes.subarray(0, body), crc)
        if (body < bytes.length) answer.set(bytes.subarray(body), taken + body - back)
        taken += bytes.length
        if (times.length > 0 && round < count && taken >= size * (round + 1)) {
          const now = performance.now()
          times[round++] = now - last
          last = now
          if (round < count) line.send(message)
        }
        if (taken === back + 8) done()
      }
    })
    line.send(header(kind, size, total))
    if (times.length > 0) line.send(message)
    else await sendAll(line, message, total)
    await finished
    const seconds = (performance.now() - start) / 1000
    let own = 0
    if (isChecked) { for (let n = 0; n < count; n++) own = crc32(message, own) }
    check(answer.readUInt32LE(0) === total % 2 ** 32 && answer.readUInt32LE(4) === own, "what the server took")
    check(back === 0 || crc === own, "what came back")
    return times.length > 0 ? [seconds, median(times) * 1000] : [seconds]
  }
  return loadsBy(run)
}
