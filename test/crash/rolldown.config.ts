/**
 * The processes of the crash loop as one file, which starts several times as fast.
 */
import { fileURLToPath } from "node:url"

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default {
  input: here("process.ts"),
  platform: "node",
  external: ["koffi"],
  resolve: { conditionNames: ["@vchan/source", "node", "import"] },
  output: { dir: here("../../node_modules/.cache/vchan/crash"), format: "esm" }
}
