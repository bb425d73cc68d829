/**
 * The suites of the contracts on real Xen, where this process is: its one domain plays both sides, lending pages to itself and ringing
 * itself. What takes several domains the other cases show, and xenstored slows down a guest that writes much. The argument names the suite.
 */
import { LinuxXen } from "@vchan/xen-linux"
import { Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import type { Backend } from "../conformance/Backend.ts"
import { eventChannel } from "../conformance/eventChannel.ts"
import { grantTable } from "../conformance/grantTable.ts"
import { vchan } from "../conformance/vchan.ts"
import { xenStore } from "../conformance/xenStore.ts"

const own = Number(execFileSync("xenstore-read", ["domid"], { encoding: "utf8" }))

const limitFile = "/sys/module/xen_gntalloc/parameters/limit"

const held = (): number => fs.readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes("/dev/xen/gnt")).length

/** Nobody else's keys are there, but the bench's. */
const sweep = "for key in $(xenstore-list data); do case $key in agent | vchan) ;; *) xenstore-rm data/$key ;; esac; done"

const xen: Backend = {
  name: "Xen",
  domids: { zero: own, one: own, two: own, three: own },
  lacks: {
    "several domains": "here one plays all; the cases between the guests show it",
    "a domain's end": "this one would be its own; the case of xl destroy shows it",
    "a limit on ports": "Xen's is the domain's own, and the bench needs its ports",
    ...(own === 0
      ? { "a guest's quotas": "dom0 has none" }
      : { "a privileged domain": "a guest is none", "a store that is fast": "xenstored slows down a guest that writes much" })
  },
  host: (limits) =>
    Effect.gen(function*() {
      if (limits?.grantsPerDomain !== undefined) {
        const before = fs.readFileSync(limitFile, "utf8")
        // The agent's own grants count too, which are none between cases.
        fs.writeFileSync(limitFile, String(limits.grantsPerDomain))
        yield* Effect.addFinalizer(() => Effect.sync(() => fs.writeFileSync(limitFile, before)))
      }
      yield* Effect.addFinalizer(() => Effect.sync(() => execFileSync("sh", ["-c", sweep])))
      return {
        domain: () => LinuxXen.layer(),
        destroy: (domid) => Effect.die(new Error(`domain ${domid} cannot destroy itself`)),
        // A connection's other side may still be on its way out.
        assertReleased: Effect.suspend(() =>
          held() === 0 ? Effect.void : Effect.fail(new Error(`${held()} ranges of pages are still mapped`))
        ).pipe(Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 }), Effect.orDie)
      }
    })
}

const suites = { GrantTable: grantTable, EventChannel: eventChannel, Vchan: vchan, XenStore: xenStore }
const suite = Object.entries(suites).find(([name]) => name === process.argv[2])?.[1]
if (suite === undefined) throw new RangeError(`no such suite: ${process.argv[2]}`)
suite(xen)
