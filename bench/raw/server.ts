/**
 * A process, or a worker, that serves raw loads: `server.ts vchan|fibers|sink|socket|corked|tcp ADDRESS`, `worker` or `child`. A process that was given
 * an address ends with its standard input. Effect is loaded where it is used only, as by the client.
 */
import { parentPort } from "node:worker_threads"
import { answer } from "../answer.ts"
import { messageLine } from "./Line.ts"
import { serve } from "./loads.ts"
import { corked, socket, tcp } from "./socket.ts"

const [kind = "", address = ""] = process.argv.slice(2)

const ready = () => answer({})

const serveMessages = (post: (message: Uint8Array | number) => void) => {
  const { line, take } = messageLine(post)
  serve(line)
  line.send(new Uint8Array(0))
  return take
}

switch (kind) {
  case "vchan":
    ;(await import("./vchan.ts")).vchan.serve(serve, address, ready)
    break
  case "fibers":
  case "sink":
    ;(await import("./fibers.ts")).serveFibers(kind, address, ready)
    break
  case "socket":
    socket.serve(serve, address, ready)
    break
  case "corked":
    corked.serve(serve, address, ready)
    break
  case "tcp":
    tcp.serve(serve, address, ready)
    break
  case "worker":
    parentPort?.on("message", serveMessages((message) => parentPort?.postMessage(message)))
    break
  case "child":
    process.on("message", serveMessages((message) => void process.send?.(message))).on("disconnect", () => process.exit(0))
    break
}
