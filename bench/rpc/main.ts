/**
 * One side of typed calls: `main.ts server|client KIND PATH`, where the kind tells what carries them and the path is that of a socket.
 */
import { answer, own } from "../answer.ts"
import { type Lanes, loadsOf } from "./loads.ts"
import type { Serialization } from "./stock.ts"

interface Kind {
  /** Left out where the client starts its server itself. */
  readonly serve?: (path: string, ready: () => void) => void
  readonly connect: (path: string) => Promise<Lanes>
}

const stock = async (serialization: Serialization): Promise<Kind> => {
  const { serveStock, stockLanes } = await import("./stock.ts")
  return { serve: (path, ready) => serveStock(serialization, path, ready), connect: (path) => stockLanes(serialization, path) }
}

const stockVchan = async (serialization: Serialization): Promise<Kind> => {
  const { serveStockVchan, stockVchanLanes } = await import("./stock.ts")
  return { serve: (_, ready) => serveStockVchan(serialization, ready), connect: () => stockVchanLanes(serialization) }
}

/** Each process loads what its kind needs and no more: all that is loaded is marked in each full collection. */
const kinds: Readonly<Record<string, () => Promise<Kind>>> = {
  vchan: async () => {
    const { serveVchan, vchanLanes } = await import("./vchan.ts")
    return { serve: (_, ready) => serveVchan(ready), connect: vchanLanes }
  },
  ndjson: () => stock("ndjson"),
  binary: () => stock("binary"),
  vchanNdjson: () => stockVchan("ndjson"),
  vchanBinary: () => stockVchan("binary"),
  grpc: () => import("./grpc.ts").then(({ grpcLanes, serveGrpc }) => ({ serve: serveGrpc, connect: grpcLanes })),
  connect: () => import("./connect.ts").then(({ connectLanes, serveConnect }) => ({ serve: serveConnect, connect: connectLanes })),
  trpc: () => import("./trpc.ts").then(({ serveTrpc, trpcLanes }) => ({ serve: serveTrpc, connect: trpcLanes })),
  comlink: () => import("./comlink.ts").then(({ comlinkLanes }) => ({ connect: comlinkLanes })),
  cluster: async () => {
    const { clusterLanes, serveCluster } = await import("./cluster.ts")
    return { serve: (_, ready) => serveCluster(ready), connect: clusterLanes }
  },
  http: () => import("./http.ts").then(({ httpLanes, serveHttp }) => ({ serve: serveHttp, connect: httpLanes })),
  gateway: () => import("./http.ts").then(({ httpLanes, serveGateway }) => ({ serve: serveGateway, connect: httpLanes }))
}

const [role = "", name = "", path = ""] = process.argv.slice(2)
const kind = await kinds[name]?.()
if (kind === undefined) throw new Error(`there is no ${name}`)
if (role === "client") answer(loadsOf(await kind.connect(path)))
else kind.serve?.(path, () => answer(own))
