/**
 * What Node itself brings for messages: the port of a worker thread, and the channel to a child process. Here the client starts its server,
 * whose first message says that it is ready.
 */
import { fork } from "node:child_process"
import { Worker } from "node:worker_threads"
import { type Line, messageLine } from "./Line.ts"

const program = new URL("server.ts", import.meta.url)

/** A worker thread serves, over its MessagePort. */
export const worker = (): Promise<Line> => {
  const server = new Worker(program, { argv: ["worker"] })
  const { line, take } = messageLine((message) => server.postMessage(message))
  return new Promise((resolve) => {
    server.on("message", take).once("message", () => resolve(line))
  })
}

/** A child process serves, over its IPC channel, with structured clones of what is sent. */
export const child = (): Promise<Line> => {
  const server = fork(program, ["child"], { serialization: "advanced" })
  const { line, take } = messageLine((message) => void server.send(message))
  return new Promise((resolve) => {
    server.on("message", take).once("message", () => resolve(line))
  })
}
