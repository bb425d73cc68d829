import * as Rpc from "@vchan/rpc"
import * as Vchan from "@vchan/vchan"
import * as Xen from "@vchan/xen"
import * as XenLinux from "@vchan/xen-linux"
import { Predicate } from "effect"
import * as fs from "node:fs"
import { describe, expect, it } from "vitest"

const text = fs.readFileSync(new URL("../../docs/ERRORS.md", import.meta.url), "utf8")

/** What the page says: each error class with its reasons, those of other classes included where it says "Also every reason of". */
const documented = (name: string): ReadonlyArray<string> => {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? ""
  const own = [...section.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1] ?? "")
  const others = /^Also every reason of (.*)\.$/m.exec(section)?.[1] ?? ""
  return [...own, ...[...others.matchAll(/`(\w+)`/g)].flatMap((match) => documented(match[1] ?? ""))]
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

describe("docs/ERRORS.md", () => {
  it("has a section for every error class with a reason, and no other", () => {
    const sections = [...text.matchAll(/^## (\w+)$/gm)].map((match) => match[1])
    expect(sections.toSorted()).toEqual(reasons.map((reason) => reason.name).toSorted())
  })

  it.each(reasons)("lists every reason of $name, and no other", ({ name, tags }) => {
    expect([...new Set(documented(name))].toSorted()).toEqual([...new Set(tags)].toSorted())
  })
})
