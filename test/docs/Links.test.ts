import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "../..")

/** Every Markdown page of the repository, by its path. */
const pages = fs.globSync("{*.md,{docs,packages,examples,test,bench}/**/*.md}", { cwd: root, exclude: ["**/node_modules/**"] }).toSorted()

const read = (page: string): string => fs.readFileSync(path.join(root, page), "utf8")

/** What a page links to in this repository, and the files it names by their path from the root. */
const named = (page: string): ReadonlyArray<string> => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) => path.join(path.dirname(page), match[1] ?? ""))
  const files = [...read(page).matchAll(/`((?:packages|examples|docs|test|bench|scripts|\.ci)\/[\w./-]+)`/g)].map((match) => match[1] ?? "")
  return [...new Set([...links, ...files])]
}

describe("the documentation", () => {
  it.each(pages)("%s links to and names only what is there", (page) => {
    expect(named(page).filter((name) => !fs.existsSync(path.join(root, name)))).toEqual([])
  })

  it("docs/ARCHITECTURE.md names only what is in the files it walks through", () => {
    const page = "docs/ARCHITECTURE.md"
    const steps = [...read(page).matchAll(/\]\((\.\.\/[\w./-]+\.ts)\)\s+\(((?:`\w+`(?:, )?)+)\)/g)]
    const missing = steps.flatMap(([, file = "", names = ""]) => {
      const source = read(path.join(path.dirname(page), file))
      return [...names.matchAll(/\w+/g)].filter(([name]) => !new RegExp(`\\b${name}\\b`).test(source)).map(([name]) => `${name} in ${file}`)
    })
    expect(steps.length).toBeGreaterThan(20)
    expect(missing).toEqual([])
  })

  it.each(["contract", "guest", "client"])("the README's code of the example is examples/echo/%s.ts", (name) => {
    const file = `examples/echo/${name}.ts`
    expect(read("README.md")).toContain(`<!-- ${file} -->\n\`\`\`ts\n${read(file)}\`\`\`\n`)
  })

  it("the README's example is under 60 lines in all", () => {
    const lines = ["contract", "guest", "client"].flatMap((name) => read(`examples/echo/${name}.ts`).trimEnd().split("\n"))
    expect(lines.length).toBeLessThan(60)
  })

  it("the README opens with two lines, each complete on a fresh checkout", () => {
    expect(read("README.md").split("\n").slice(2, 4).map((line) => line.split("#")[0]?.trim())).toEqual([
      "npm ci && npm start",
      "npm ci && npm test"
    ])
  })
})
