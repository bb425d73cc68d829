/**
 * A guest of the bench: an agent that starts programs for dom0.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Xen } from "@vchan/xen-linux"
import { Effect } from "effect"
import { held } from "./Held.ts"
import { start, thisXen } from "./Programs.ts"
import { serve } from "./Remote.ts"

Effect.flatMap(
  thisXen,
  (xen) => serve((argv) => Effect.provideContext(start(argv), xen), Effect.provideContext(held, xen))
).pipe(
  Effect.provide(Xen.layer),
  NodeRuntime.runMain
)
