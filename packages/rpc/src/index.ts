/**
 * Typed RPC between Xen domains: Effect's own `Rpc` and `RpcGroup` definitions, served and called over a vchan.
 */
export * from "./Caller.ts"
export * as Deadline from "./Deadline.ts"
export type { KeepaliveOptions } from "./Keepalive.ts"
export type { LimitOptions } from "./Limits.ts"
export * from "./RpcError.ts"
export type { ServeOptions } from "./serveGroup.ts"
export * from "./ServicePath.ts"
export * as VchanRpcClient from "./VchanRpcClient.ts"
export * as VchanRpcServer from "./VchanRpcServer.ts"
