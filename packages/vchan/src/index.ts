/**
 * vchan: bytes between two Xen domains through rings in shared pages, as libxenvchan does it.
 */
export * from "./Vchan.ts"
export * from "./VchanError.ts"
