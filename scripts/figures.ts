/**
 * `npm run figures`: writes what the tests counted at their last run (test/figures.ts) into the documents.
 *
 * In a page a figure stands between `<!-- figure <suite>.<name> -->` and `<!-- end -->`; a suite that ends in `*` is the sum of all that begin so.
 */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const root = new URL("../", import.meta.url)
const folder = fileURLToPath(new URL("node_modules/.cache/figures", root))
const files = fs.existsSync(folder) ? fs.readdirSync(folder).filter((file) => file.endsWith(".json")) : []

const figuresOf = (file: string): Readonly<Record<string, unknown>> => JSON.parse(fs.readFileSync(`${folder}/${file}`, "utf8"))

/** The figure's text; undefined where no test has left it. */
const figure = (suite: string, name: string): string | undefined => {
  const wanted = files.filter((file) => suite.endsWith("*") ? file.startsWith(suite.slice(0, -1)) : file === `${suite}.json`)
  const values = wanted.flatMap((file) => {
    const value = figuresOf(file)[name]
    return typeof value === "number" ? [value] : []
  })
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0).toLocaleString("en")
}

for (const page of fs.globSync("docs/*.md", { cwd: root })) {
  const url = new URL(page, root)
  const before = fs.readFileSync(url, "utf8")
  const after = before.replaceAll(
    /(<!-- figure ([\w*-]+)\.(\w+) -->).*?(<!-- end -->)/g,
    (whole, start: string, suite: string, name: string, end: string) => {
      const value = figure(suite, name)
      if (value === undefined) {
        console.error(`${page}: no test has left ${suite}.${name}: run its suite first`)
        process.exitCode = 1
        return whole
      }
      return start + value + end
    }
  )
  if (after !== before) {
    fs.writeFileSync(url, after)
    console.log(`${page}: figures written`)
  }
}
