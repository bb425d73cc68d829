/**
 * What runs in the bench's domains, each program one file and all sharing what they have in common.
 */
import { fileURLToPath } from "node:url"

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default {
  input: {
    dom0: here("dom0.ts"),
    guest: here("guest.ts"),
    peer: here("peer/main.ts"),
    conformance: here("conformance.ts"),
    "suite-report": here("suiteReport.ts"),
    "effect-rpc": here("effectRpc.ts"),
    "echo-guest": here("../../examples/echo/guest.ts"),
    "echo-client": here("../../examples/echo/client.ts"),
    vchan: here("../../packages/cli/bin/vchan.js"),
    restarting: here("../faults/restarting.ts"),
    "call-on": here("../faults/callOn.ts")
  },
  platform: "node",
  external: ["koffi"],
  resolve: {
    conditionNames: ["@vchan/source", "node", "import"],
    // The suites name vitest; here Node's own runner runs them.
    alias: { "@effect/vitest": here("nodeTest.ts") }
  },
  output: { dir: here("../../node_modules/.cache/vchan/xen/bundle"), format: "esm" }
}
