import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["@vchan/source"] },
  ssr: { resolve: { conditions: ["@vchan/source"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
