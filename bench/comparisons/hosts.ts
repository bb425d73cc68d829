/**
 * What a small call costs where one host is not enough: through a gateway that serves those outside over HTTP, beside the same service over HTTP
 * alone; and as a message of Effect's cluster, whose runners meet over vchans.
 */
import { Effect } from "effect"
import * as path from "node:path"
import type { Comparison } from "../comparison.ts"
import { host, program } from "../host.ts"
import { measureAll } from "../measure.ts"
import { side } from "./raw.ts"
import { adds } from "./rpc.ts"

/** The sides' names. */
export const hosts = {
  vchan: "vchan-rpc",
  cluster: "effect/cluster over our vchan",
  http: "effect/rpc over HTTP",
  gateway: "gateway: HTTP, then vchan-rpc"
} as const

/** The gateway's guest is served before the gateway starts. */
const kinds = Object.keys(hosts) as ReadonlyArray<keyof typeof hosts>

export const comparison: Comparison = Effect.fnUntraced(function*(effort) {
  const directory = yield* host
  const sides = yield* Effect.forEach(kinds, (kind) => {
    const end = (role: string) => program("rpc/main.ts", role, kind, path.join(directory, kind))
    return side([hosts[kind], [end("server"), end("client")]])
  })
  const rows = yield* measureAll(sides, [adds(1, "1"), adds(16, "16"), adds(256, "256")], effort)
  return { title: "Beyond one host", sides: Object.values(hosts), rows }
})
