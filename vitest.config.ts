import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["@vchan/source"] },
  ssr: { resolve: { conditions: ["@vchan/source"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/**/*.test.ts", "test/**/*.test.ts"],
    // Many tests wait for processes that they started, which compile less with a cache.
    maxWorkers: "100%",
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url)) },
    testTimeout: 120_000,
    hookTimeout: 120_000
  }
})
