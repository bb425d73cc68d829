import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"

const folder = path.resolve(import.meta.dirname, "../../docs")
const text = fs.readFileSync(path.join(folder, "SECURITY.md"), "utf8")

/** The rows of a section's table. */
const rows = (heading: string): ReadonlyArray<string> =>
  (text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "").split("\n").filter((line) => line.startsWith("| ")).slice(1)

/** The files that a row names, each with the names that stand after it in quotes. */
const tests = (row: string) =>
  [...row.matchAll(/\]\(([^)]+)\)((?:,? "[^"]+")*)/g)].map(([, file = "", names = ""]) => ({
    file: path.join(folder, file),
    names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name)
  }))

describe("docs/SECURITY.md", () => {
  const promises = rows("Promises")

  it("has promises", () => {
    expect(promises.length).toBeGreaterThan(12)
  })

  it.each(promises)("names, for what it promises, tests that are there: %s", (promise) => {
    expect(tests(promise)).not.toEqual([])
    for (const { file, names } of tests(promise)) {
      const source = fs.readFileSync(file, "utf8")
      for (const name of names) expect(source).toContain(name)
    }
  })

  it("has a figure that a test has counted in every row of how far that was tried", () => {
    for (const row of rows("How far that was tried")) expect(row).toMatch(/<!-- figure [\w*-]+\.\w+ -->[1-9][\d,]*<!-- end -->/)
  })
})
