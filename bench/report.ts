/**
 * What was found, as tables: in the terminal, in results.json, and between the markers of the documents, which nobody edits by hand.
 */
import { Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import type { Row, Table } from "./comparison.ts"
import { goals, verdictOf } from "./goals.ts"
import type { Figure } from "./measure.ts"
import { isTime } from "./ratios.ts"

const root = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const resultsFile = root("bench/results.json")

const FigureJson = Schema.Struct({ median: Schema.Finite, low: Schema.Finite, high: Schema.Finite })

/** What is kept: each comparison's last run, and where it ran. */
const Results = Schema.Record(
  Schema.String,
  Schema.Struct({
    where: Schema.String,
    table: Schema.Struct({
      title: Schema.String,
      sides: Schema.Array(Schema.String),
      rows: Schema.Array(Schema.Struct({ load: Schema.String, unit: Schema.String, figures: Schema.Record(Schema.String, FigureJson) })),
      left: Schema.optionalKey(Schema.Array(Schema.String))
    })
  })
)

export type Results = typeof Results.Type

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Results))

const readResults = (): Results => fs.existsSync(resultsFile) ? decode(fs.readFileSync(resultsFile, "utf8")) : {}

/** Three digits, as people read them. */
const digits = (value: number): string => {
  const [scaled, suffix] = value >= 1e6 ? [value / 1e6, "M"] : value >= 1e4 ? [value / 1e3, "k"] : [value, ""]
  const text = scaled >= 100 ? scaled.toFixed(0) : scaled >= 10 ? scaled.toFixed(1) : scaled.toFixed(2)
  return text + suffix
}

const cell = (figure: Figure | undefined): string =>
  figure === undefined ? "-" : `${digits(figure.median)} (${digits(figure.low)}-${digits(figure.high)})`

const times = (row: Row, ours: string, theirs: string): string => {
  const [a, b] = [row.figures[ours], row.figures[theirs]]
  if (a === undefined || b === undefined) return "-"
  return `${digits(isTime(row) ? b.median / a.median : a.median / b.median)}x`
}

const markdown = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const [head = [], ...rest] = lines
  return [head, head.map(() => "--"), ...rest].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
}

/** A table with every side a column: median (lowest-highest), and in how many times ours does better. */
const full = ({ rows, sides }: Table): string => {
  const [ours = "", ...others] = sides
  const beside = (row: Row, name: string) =>
    row.figures[name] === undefined ? "-" : `${cell(row.figures[name])} **${times(row, ours, name)}**`
  return markdown([
    ["", "unit", ours, ...others],
    ...rows.map((row) => [row.load, row.unit, cell(row.figures[ours]), ...others.map((name) => beside(row, name))])
  ])
}

const leftOut = ({ left = [] }: Table): string => left.map((line) => `\n\nLeft out: ${line}.`).join("")

/** A table for the terminal: medians only. */
export const plain = (table: Table): string => {
  const rows = [
    ["", "unit", ...table.sides],
    ...table.rows.map((row) => [
      row.load,
      row.unit,
      ...table.sides.map((name) => {
        const figure = row.figures[name]
        return figure === undefined
          ? "-"
          : `${digits(figure.median)}${name === table.sides[0] ? "" : ` ${times(row, table.sides[0] ?? "", name)}`}`
      })
    ])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row.map((text, column) => column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))
  )
  return [`\n${table.title}`, ...lines.map((row) => row.join("  ")), ...(table.left ?? []).map((line) => `left out: ${line}`)].join("\n")
}

const goalTable = (results: Results): string =>
  markdown([
    ["", "must", "aim", "measured", ""],
    ...goals.map((goal) => {
      const measured = goal.measured(results)
      const [text, verdict] = measured === undefined ? ["-", ""] : [measured.toFixed(measured < 10 ? 1 : 0), verdictOf(goal, measured)]
      const most = goal.isMost === true ? "at most " : ""
      return [goal.name, `${most}${goal.must}`, `${most}${goal.aim}`, text, verdict]
    })
  ])

const shortTable = (results: Results): string =>
  markdown([
    ["", "", "in the same run"],
    ...goals.flatMap(({ brief, measured }) => {
      const ratio = measured(results)
      return brief === undefined || ratio === undefined ? [] : [[brief.what, `${digits(ratio)}x`, brief.than]]
    })
  ])

/** Puts text between the markers of a document. */
const fill = (file: string, parts: Readonly<Record<string, string>>): void => {
  const path = root(file)
  let text = fs.readFileSync(path, "utf8")
  for (const [name, part] of Object.entries(parts)) {
    const [open, close] = [`<!-- bench:${name} -->`, `<!-- bench:end -->`]
    const from = text.indexOf(open)
    const to = text.indexOf(close, from)
    if (from >= 0 && to >= 0) text = `${text.slice(0, from + open.length)}\n${part}\n${text.slice(to)}`
  }
  fs.writeFileSync(path, text)
}

/** The machine, and with what it was measured. */
export const where = (): string => {
  const cpus = os.cpus()
  const date = new Date().toISOString().slice(0, 10)
  return `${date}, ${cpus.length} CPUs (${cpus[0]?.model ?? os.arch()}), Linux ${os.release()}, Node ${process.version}`
}

/** The peers' versions. */
const versions = (): string => {
  const manifest: unknown = JSON.parse(fs.readFileSync(root("bench/package.json"), "utf8"))
  const { dependencies } = Schema.decodeUnknownSync(Schema.Struct({ dependencies: Schema.Record(Schema.String, Schema.String) }))(manifest)
  return Object.entries(dependencies).filter(([name]) => !name.startsWith("@vchan/")).map(([name, version]) => `${name} ${version}`).join(
    ", "
  )
}

/** Keeps what was found, and writes the documents anew. */
export const keep = (found: Results): void => {
  const results = { ...readResults(), ...found }
  fs.writeFileSync(resultsFile, `${JSON.stringify(results, undefined, 1)}\n`)
  fill("docs/PERFORMANCE.md", {
    goals: goalTable(results),
    versions: `${versions()}.`,
    ...Object.fromEntries(
      Object.entries(results).map(([name, { table, where }]) => [name, `${full(table)}\n\nMeasured ${where}.${leftOut(table)}`])
    )
  })
  fill("README.md", { short: shortTable(results) })
}
