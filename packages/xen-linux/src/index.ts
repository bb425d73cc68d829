/**
 * Backends of `@vchan/xen` for Linux: this process in a domain of real Xen, or in one of an emulated host, and that host.
 */
export * as EmulatedXen from "./EmulatedXen.ts"
export * as HostControl from "./HostControl.ts"
export * as HostServer from "./HostServer.ts"
export * from "./HostServerError.ts"
export * from "./HostStatus.ts"
export * as LinuxXen from "./LinuxXen.ts"
export * as Xen from "./Xen.ts"
