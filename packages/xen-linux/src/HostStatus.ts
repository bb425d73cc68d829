/**
 * What an emulated host holds for all its domains: for people, and for checks that nothing is left behind.
 */
import { DomId } from "@vchan/xen"
import { Schema } from "effect"

/** What is held on a host now. */
export class HostStatus extends Schema.Class<HostStatus>("HostStatus")({
  /** The domains that are there; domain 0 always is. */
  domains: Schema.Array(DomId),
  /** Processes that joined a domain. */
  processes: Schema.Int,
  /** Grant references. */
  grants: Schema.Int,
  mappings: Schema.Int,
  ports: Schema.Int,
  /** XenStore's nodes, those that every domain starts with among them. */
  nodes: Schema.Int,
  watches: Schema.Int,
  transactions: Schema.Int
}) {}
