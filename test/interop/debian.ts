/**
 * Suites with Debian's Xen, and what they run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { build, compile, type DebianXen, findDebianXen, installLine } from "./debianXen.ts"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const native = here("../../packages/cli/native")

/** What C programs run with. */
export interface Debian extends DebianXen {
  /** For PATH. */
  readonly tools: string
  /** The library that stands in for libxengnttab and libxenevtchn. */
  readonly shim: string
  readonly sources: ReadonlyArray<string>
  /** The program of test/system/peer/peer.c. */
  readonly peer: string
  /** The program of handles.c. */
  readonly handles: string
  /** What xenstored runs with on plain Linux. */
  readonly hypervisor: string
  readonly compile: (...args: ReadonlyArray<string>) => string
}

const find = (): Debian => {
  const xen = findDebianXen()
  const sources = ["guest.c", "grants.c", "events.c"].map((name) => path.join(native, name))
  return {
    ...xen,
    tools: [path.join(xen.root, "usr/lib/xen-4.17/bin"), path.join(xen.root, "usr/bin")].join(":"),
    shim: build("xenshim.so", [...sources, path.join(native, "xenshim.h")], "-shared", "-fPIC", "-pthread", "-ldl"),
    sources,
    peer: xen.build("peer", [here("../system/peer/peer.c")], ["xenvchan"]),
    hypervisor: build("hypervisor.so", [here("../model/hypervisor.c")], "-shared", "-fPIC", `-I${xen.include}`, "-ldl"),
    handles: xen.build("handles", [here("handles.c")], ["xengnttab", "xenevtchn"]),
    compile
  }
}

/** A suite that needs Debian's Xen and gcc: named as skipped, with what would bring them, where they are missing, and failed with `CI=true`. */
export const describeDebian = (name: string, suite: (debian: Debian) => void): void => {
  describe(name, () => {
    let debian: Debian
    try {
      debian = find()
    } catch (cause) {
      const reason = `needs Debian's Xen 4.17 and gcc (${cause instanceof Error ? cause.message.split("\n")[0] : cause}): ${installLine}`
      if (process.env.CI === "true") it(reason, () => assert.fail(reason))
      else {
        console.warn(`skipped: ${name}: ${reason}`)
        it.skip(reason, () => {})
      }
      return
    }
    suite(debian)
  })
}
