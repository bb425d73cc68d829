/**
 * The Xen that a program finds where it runs.
 */
import type { MemoryXen, XenStoreError } from "@vchan/xen"
import type { Layer } from "effect"
import * as EmulatedXen from "./EmulatedXen.ts"

/** This process as a domain of the emulated host, found as {@link EmulatedXen.layer} finds it: the only backend for Linux so far. */
export const layer: Layer.Layer<MemoryXen.Xen, XenStoreError> = EmulatedXen.layer()
