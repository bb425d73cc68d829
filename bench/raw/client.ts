/**
 * A process that runs raw loads: `client.ts vchan|fibers|sink|socket|corked|tcp ADDRESS`, `worker` or `child`. Effect is loaded where it
 * is used only, for all that is loaded is marked in each full collection.
 */
import { answer } from "../answer.ts"
import { loadsOver } from "./loads.ts"
import { child, worker } from "./messages.ts"
import { corked, socket, tcp } from "./socket.ts"

const [kind = "", address = ""] = process.argv.slice(2)

switch (kind) {
  case "vchan":
    answer(loadsOver(await (await import("./vchan.ts")).vchan.connect(address)))
    break
  case "fibers":
  case "sink":
    answer(await (await import("./fibers.ts")).fiberLoads(kind, address))
    break
  case "socket":
    answer(loadsOver(await socket.connect(address)))
    break
  case "corked":
    answer(loadsOver(await corked.connect(address)))
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
