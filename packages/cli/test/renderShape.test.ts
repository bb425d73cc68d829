import type { MethodShapes } from "@vchan/rpc"
import { describe, expect, it } from "vitest"
import { renderMethod, visible } from "../src/renderShape.ts"

const shapes: MethodShapes = { stream: false, payload: "null", success: "string", error: { union: [] } }

describe("a method in one line", () => {
  it.each<[MethodShapes["payload"], string]>([
    ["integer", "integer"],
    [{ literal: "a\u009b" }, `"a\\u009b"`],
    [{ array: { union: ["string", "null"] } }, "(string | null)[]"],
    [{ tuple: ["string", { union: ["number", "null"] }], optional: 1, rest: "boolean" }, "[string, (number | null)?, ...boolean[]]"],
    [{ fields: [{ name: "a-b", type: "json" }], rest: "bytes" }, `{ "a-b": json, [key: string]: bytes }`],
    [{ fields: [] }, "{}"],
    [{ fields: [{ name: "next", type: { up: 1 }, optional: true }] }, "{ next?: … }"],
    [{ union: [] }, "never"]
  ])("shows %j", (payload, text) => {
    expect(renderMethod("M", { ...shapes, payload })).toBe(`M(${text}): string`)
  })

  it("shows a stream that it takes, alone or with more", () => {
    const upload = { item: "bytes", error: { union: [] } } as const
    expect(renderMethod("M", { ...shapes, upload })).toBe("M(a stream of bytes): string")
    expect(renderMethod("M", { ...shapes, payload: { fields: [] }, upload })).toBe("M({} and a stream of bytes): string")
  })

  it("shows a stream, what it fails with, and schemas that are not told", () => {
    expect(renderMethod("M", { ...shapes, stream: true, error: "string" })).toBe("M(): a stream of string, or fails with string")
    expect(renderMethod("M", undefined)).toBe("M: the server does not tell its schemas")
  })
})

describe("a peer's text", () => {
  it("holds nothing that a terminal would obey, and is still the same JSON", () => {
    const hostile = "\u001b[2J \u009b1m \u202e\u{e0041} \u0007\r\n\tend"
    const json = JSON.stringify(hostile)
    expect(visible(json)).not.toMatch(/[^\u0020-\u007e]/)
    expect(JSON.parse(visible(json))).toBe(hostile)
    expect(visible("\r\u2028")).toBe("\\u000d\\u2028")
  })
})
