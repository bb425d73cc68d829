/**
 * What tests counted, for the tables of the documents: a suite leaves its figures in a file below node_modules, and `npm run figures` writes them
 * into the pages.
 */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../node_modules/.cache/figures", import.meta.url))

/** A suite's figures, by name, in place of those it left before. */
export const leaveFigures = (suite: string, figures: Readonly<Record<string, number>>): void => {
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(`${folder}/${suite}.json`, JSON.stringify(figures))
}
