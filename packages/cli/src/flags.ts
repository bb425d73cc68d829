/**
 * The flags that several commands share, and the domain that they describe.
 */
import { DomId, type Xen, type XenStoreError } from "@vchan/xen"
import { EmulatedXen } from "@vchan/xen-linux"
import { type Layer, Option } from "effect"
import { Flag } from "effect/cli"

/** Where the emulated host is. */
export const directory = Flag.Directory("directory").pipe(
  Flag.withAlias("d"),
  Flag.withDescription(
    "The emulated host's run directory; else VCHAN_HOST, else $XDG_RUNTIME_DIR/vchan-host, else /dev/shm/vchan-host-<uid>"
  ),
  Flag.optional
)

/** Which domain to be. */
export const domid = Flag.Int("domid").pipe(
  Flag.withDescription("Be a process of this domain; else of a fresh one, which ends with the process"),
  Flag.withSchema(DomId),
  Flag.optional
)

/** This process as a process of that domain. */
export const domain = (flags: {
  readonly directory: Option.Option<string>
  readonly domid: Option.Option<DomId>
}): Layer.Layer<Xen, XenStoreError> =>
  EmulatedXen.layer({ directory: Option.getOrUndefined(flags.directory), domid: Option.getOrUndefined(flags.domid) })
