/**
 * The cases of the suite for real Xen, between the same programs on an emulated host.
 */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { casesWith } from "../system/cases.ts"
import { describeDebian } from "./debian.ts"
import { makeWorld } from "./world.ts"

describeDebian("as on real Xen, on the emulated host", (debian) => {
  for (const { name, run } of casesWith("").filter(({ onXenAlone }) => onXenAlone !== true)) {
    it.live(name, () =>
      Effect.gen(function*() {
        const world = yield* makeWorld(debian)
        yield* Effect.scoped(run(world))
        yield* world.untilReleased
      }).pipe(Effect.scoped, Effect.timeout("100 seconds")))
  }
})
