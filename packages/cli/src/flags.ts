/**
 * The flags that several commands share, and the domain that they describe.
 */
import { DomId, type Xen, type XenStoreError } from "@vchan/xen"
import { EmulatedXen, Xen as FoundXen } from "@vchan/xen-linux"
import { type Layer, Option, Schema } from "effect"
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
  Flag.withDescription("Be a process of this domain of an emulated host; else of a fresh one, which ends with the process"),
  Flag.withSchema(DomId),
  Flag.optional
)

/** How long something may take. */
export const timeout = (description: string) =>
  Flag.String("timeout").pipe(
    Flag.withAlias("t"),
    Flag.withDescription(`${description}: a number and a unit, as in "500 millis" or "2 seconds"`),
    Flag.withMetavar("duration"),
    Flag.withSchema(Schema.DurationFromString),
    Flag.optional
  )

/** This process as a process of that domain; where neither flag is given, of the domain that it finds itself in, of real Xen maybe. */
export const domain = (flags: {
  readonly directory: Option.Option<string>
  readonly domid: Option.Option<DomId>
}): Layer.Layer<Xen, XenStoreError> =>
  Option.isNone(flags.directory) && Option.isNone(flags.domid)
    ? FoundXen.layer
    : EmulatedXen.layer({ directory: Option.getOrUndefined(flags.directory), domid: Option.getOrUndefined(flags.domid) })
