import * as Rpc from "@vchan/rpc"
import * as Vchan from "@vchan/vchan"
import * as Xen from "@vchan/xen"
import * as XenLinux from "@vchan/xen-linux"
import { Predicate } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "../..")
const text = fs.readFileSync(path.join(root, "docs/ERRORS.md"), "utf8")

/** The page's parts, by their headings. */
const parts = new Map(
  text.split(/^## /m).slice(1).map((part) => {
    const end = part.indexOf("\n")
    return [part.slice(0, end), part.slice(end)] as const
  })
)

/** The rows of the tables in a part: what they are about, and the other cells. */
const rowsOf = (part: string): ReadonlyArray<readonly [name: string, ...cells: ReadonlyArray<string>]> =>
  [...part.matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map(([, name = "", cells = ""]) => [name, ...cells.split("|").map((cell) => cell.trim())])

const namesOf = (part: string): ReadonlyArray<string> => rowsOf(part).map(([name]) => name)

/** What the page says: each error class with its reasons, those of other classes included where it says "Also every reason of". */
const documented = (name: string): ReadonlyArray<string> => {
  const part = parts.get(name) ?? ""
  const others = /^Also every reason of (.*)\.$/m.exec(part)?.[1] ?? ""
  return [...namesOf(part), ...[...others.matchAll(/`(\w+)`/g)].flatMap((match) => documented(match[1] ?? ""))]
}

/** The names of a union's members; none where it is not a union of error classes. */
const memberNames = (value: unknown): ReadonlyArray<string> =>
  Predicate.hasProperty(value, "members") && Array.isArray(value.members)
    ? value.members.flatMap((member: unknown) =>
      Predicate.hasProperty(member, "identifier") && typeof member.identifier === "string" ? [member.identifier] : []
    )
    : []

/** Every exported `…Reason` with the names of its members, under the name of the class that carries it. */
const reasons = Object.entries({ ...Xen, ...XenLinux, ...Vchan, ...Rpc }).flatMap(([name, value]: [string, unknown]) => {
  const tags = memberNames(value)
  return name.endsWith("Reason") && tags.length > 0 ? [{ name: name.replace(/Reason$/, "Error"), tags }] : []
})

/** Every class of errors that a user can meet, as the packages' sources declare it. Those below Data are for use within a module or two. */
const declared = fs.globSync("packages/*/src/**/*.ts", { cwd: root }).flatMap((file) =>
  [...fs.readFileSync(path.join(root, file), "utf8").matchAll(/\bclass (\w+) extends Schema\.\w*Error\b/g)].map(([, name = ""]) => name)
)

describe("docs/ERRORS.md", () => {
  it("has a section for every error class with a reason, and no other", () => {
    const sections = [...parts.keys()].filter((name) => /^\w+$/.test(name))
    expect(sections.toSorted()).toEqual(reasons.map((reason) => reason.name).toSorted())
  })

  it.each(reasons)("lists every reason of $name, and no other", ({ name, tags }) => {
    expect([...new Set(documented(name))].toSorted()).toEqual([...new Set(tags)].toSorted())
  })

  it("names every error class that the sources declare, and none that they do not", () => {
    const named = [...parts].flatMap(([heading, part]) => [...(/^\w+$/.test(heading) ? [heading] : []), ...namesOf(part)])
    const codes: ReadonlyArray<string> = Xen.XenStoreErrno.literals
    expect(declared.length).toBeGreaterThan(40)
    expect([...new Set(named)].filter((name) => !codes.includes(name)).toSorted()).toEqual([...new Set(declared)].toSorted())
  })

  it("lists every code that a store may answer with", () => {
    expect(namesOf(parts.get("Codes of a StoreRefusal") ?? "").toSorted()).toEqual([...Xen.XenStoreErrno.literals].toSorted())
  })

  it("says of each when it comes and what to do", () => {
    for (const [name, ...cells] of rowsOf(text)) {
      expect(cells, name).toHaveLength(2)
      for (const cell of cells) expect(cell, name).not.toBe("")
    }
  })
})
