/**
 * A process that runs raw loads: `client.ts vchan|fibers|sink|socket|tcp ADDRESS`, `worker` or `child`.
 */
import { answer } from "../answer.ts"
import { fiberLoads } from "./fibers.ts"
import { loadsOver } from "./loads.ts"
import { child, worker } from "./messages.ts"
import { socket, tcp } from "./socket.ts"
import { vchan } from "./vchan.ts"

const [kind = "", address = ""] = process.argv.slice(2)

switch (kind) {
  case "vchan":
    answer(loadsOver(await vchan.connect(address)))
    break
  case "fibers":
  case "sink":
    answer(await fiberLoads(kind, address))
    break
  case "socket":
    answer(loadsOver(await socket.connect(address)))
    break
  case "tcp":
    answer(loadsOver(await tcp.connect(address)))
    break
  case "worker":
    answer(loadsOver(await worker()))
    break
  case "child":
    answer(loadsOver(await child()))
    break
}
