/**
 * One side of typed calls: `main.ts server|client KIND PATH`, where the kind tells what carries them and the path is that of a socket.
 */
import { answer } from "../answer.ts"
import { comlinkLanes } from "./comlink.ts"
import { serveStock, serveVchan, stockLanes, vchanLanes } from "./effects.ts"
import { grpcLanes, serveGrpc } from "./grpc.ts"
import { type Lanes, loadsOf } from "./loads.ts"
import { serveTrpc, trpcLanes } from "./trpc.ts"

interface Kind {
  readonly serve: (path: string, ready: () => void) => void
  readonly connect: (path: string) => Promise<Lanes>
}

const kinds: Readonly<Record<string, Kind>> = {
  vchan: { serve: (_, ready) => serveVchan(ready), connect: vchanLanes },
  ndjson: { serve: (path, ready) => serveStock("ndjson", path, ready), connect: (path) => stockLanes("ndjson", path) },
  binary: { serve: (path, ready) => serveStock("binary", path, ready), connect: (path) => stockLanes("binary", path) },
  grpc: { serve: serveGrpc, connect: grpcLanes },
  trpc: { serve: serveTrpc, connect: trpcLanes },
  comlink: { serve: () => {}, connect: comlinkLanes }
}

const [role = "", name = "", path = ""] = process.argv.slice(2)
const kind = kinds[name]
if (kind === undefined) throw new Error(`there is no ${name}`)
if (role === "server") kind.serve(path, () => answer({}))
else answer(loadsOf(await kind.connect(path)))
