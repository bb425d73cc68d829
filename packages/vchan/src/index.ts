/**
 * vchan: bytes between two Xen domains through rings in shared pages, as libxenvchan does it.
 */
export * as Handshake from "./Handshake.ts"
export * as Listener from "./Listener.ts"
export * from "./RingGeometry.ts"
export type { Server } from "./Server.ts"
export * from "./Vchan.ts"
export * from "./VchanError.ts"
export * as VchanSocket from "./VchanSocket.ts"
export * as VchanSocketServer from "./VchanSocketServer.ts"
