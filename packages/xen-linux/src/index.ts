/**
 * Backends of `@vchan/xen` for Linux: the emulated host, and this process as one of its domains.
 */
export * as EmulatedXen from "./EmulatedXen.ts"
export * as HostControl from "./HostControl.ts"
export * as HostServer from "./HostServer.ts"
export * from "./HostServerError.ts"
export * from "./HostStatus.ts"
export * as Xen from "./Xen.ts"
