/**
 * One side of typed calls: `main.ts server|client KIND PATH`, where the kind tells what carries them and the path is that of a socket.
 */
import { answer, own } from "../answer.ts"
import { clusterLanes, serveCluster } from "./cluster.ts"
import { comlinkLanes } from "./comlink.ts"
import { connectLanes, serveConnect } from "./connect.ts"
import { grpcLanes, serveGrpc } from "./grpc.ts"
import { httpLanes, serveGateway, serveHttp } from "./http.ts"
import { type Lanes, loadsOf } from "./loads.ts"
import { serveStock, serveStockVchan, stockLanes, stockVchanLanes } from "./stock.ts"
import { serveTrpc, trpcLanes } from "./trpc.ts"
import { serveVchan, vchanLanes } from "./vchan.ts"

interface Kind {
  /** Left out where the client starts its server itself. */
  readonly serve?: (path: string, ready: () => void) => void
  readonly connect: (path: string) => Promise<Lanes>
}

const kinds: Readonly<Record<string, Kind>> = {
  vchan: { serve: (_, ready) => serveVchan(ready), connect: vchanLanes },
  ndjson: { serve: (path, ready) => serveStock("ndjson", path, ready), connect: (path) => stockLanes("ndjson", path) },
  binary: { serve: (path, ready) => serveStock("binary", path, ready), connect: (path) => stockLanes("binary", path) },
  vchanNdjson: { serve: (_, ready) => serveStockVchan("ndjson", ready), connect: () => stockVchanLanes("ndjson") },
  vchanBinary: { serve: (_, ready) => serveStockVchan("binary", ready), connect: () => stockVchanLanes("binary") },
  grpc: { serve: serveGrpc, connect: grpcLanes },
  connect: { serve: serveConnect, connect: connectLanes },
  trpc: { serve: serveTrpc, connect: trpcLanes },
  comlink: { connect: comlinkLanes },
  cluster: { serve: (_, ready) => serveCluster(ready), connect: clusterLanes },
  http: { serve: serveHttp, connect: httpLanes },
  gateway: { serve: serveGateway, connect: httpLanes }
}

const [role = "", name = "", path = ""] = process.argv.slice(2)
const kind = kinds[name]
if (kind === undefined) throw new Error(`there is no ${name}`)
if (role === "client") answer(loadsOf(await kind.connect(path)))
else kind.serve?.(path, () => answer(own))
