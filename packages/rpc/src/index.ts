/**
 * Typed RPC between Xen domains: Effect's own `Rpc` and `RpcGroup` definitions, served and called over a vchan.
 */
export * from "./Caller.ts"
export { ConnectionState } from "./ConnectionState.ts"
export * as Deadline from "./Deadline.ts"
export { Idempotent } from "./Idempotent.ts"
export type { KeepaliveOptions } from "./Keepalive.ts"
export type { LimitOptions } from "./Limits.ts"
export type { MethodShapes } from "./MethodShapes.ts"
export type { Reconnect } from "./reconnection.ts"
export * as Reflection from "./Reflection.ts"
export * from "./RpcError.ts"
export type { ServeOptions } from "./serveGroup.ts"
export * from "./ServicePath.ts"
export type { Field, Shape } from "./Shape.ts"
export * as VchanProtocol from "./VchanProtocol.ts"
export * as VchanRpcClient from "./VchanRpcClient.ts"
export * as VchanRpcServer from "./VchanRpcServer.ts"
