/**
 * The Xen that a program finds where it runs.
 */
import type { Xen, XenStoreError } from "@vchan/xen"
import type { Layer } from "effect"
import * as EmulatedXen from "./EmulatedXen.ts"

/** This process as a domain of the emulated host, found as {@link EmulatedXen.layer} finds it: the only backend for Linux so far. */
export const layer: Layer.Layer<Xen, XenStoreError> = EmulatedXen.layer()
