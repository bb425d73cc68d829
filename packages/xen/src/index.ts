/**
 * Xen's three ways between domains, as Effect services: pages ({@link GrantTable}), doorbells ({@link EventChannel}) and a place to meet
 * ({@link XenStore}).
 */
export * from "./DomId.ts"
export * from "./EventChannel.ts"
export * from "./GrantTable.ts"
export * from "./Guest.ts"
export * from "./Hypervisor.ts"
export * from "./Machine.ts"
export * as MemoryXen from "./MemoryXen.ts"
export * from "./printable.ts"
export * from "./Xen.ts"
export * from "./XenError.ts"
export * from "./XenStore.ts"
export * as XenStoreClient from "./XenStoreClient.ts"
export * from "./XenStoreTree.ts"
export * as XenStoreWire from "./XenStoreWire.ts"
